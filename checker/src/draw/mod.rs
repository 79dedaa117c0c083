//! Pictures of histories: what happened when, and where it contradicts itself.
//!
//! [`text`] is for a terminal and shows a witness; [`html`] is for a browser and shows the history around
//! it.

pub mod html;
pub mod text;
mod words;
