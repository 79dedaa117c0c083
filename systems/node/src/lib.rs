//! What the servers share: event loop, timers, peer links, admin port, shutdown.
