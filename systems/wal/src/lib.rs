//! Segments of records that survive a crash, and the one seam to the disk.
