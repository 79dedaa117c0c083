//! Faults: inject and heal, and the schedules that choose them; pure.
