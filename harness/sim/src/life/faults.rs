//! The faults of a life: what the nemesis decides is done to the world, and what each came to is counted.

use std::time::Duration;

use nemesis::{Action, Evidence, Fault, Met, Seen, Time, bite};
use serde_json::{Value, json};

use super::{Living, members};
use crate::asking::Asking;
use crate::clients::Moment;
use crate::world::seat;

/// A fault that lasts.
pub(super) struct Lasting {
    pub(super) fault: Fault,
    pub(super) began: u64,
    met: Moment,
    pub(super) evidence: Evidence,
}

impl<W: Asking + Clone> Living<'_, W> {
    pub(super) fn play(&mut self, limit: u64) {
        loop {
            let seen = Seen {
                leader: self.world.leader().map(seat),
                ops: self.clients.invoked(),
                leader_changes: self.world.coverage.leader_changes,
            };
            match self.nemesis.next(Time(self.world.now - self.start), &seen) {
                Action::Inject(fault) => self.inject(fault),
                Action::Heal(fault) => self.heal_fault(&fault),
                Action::Skip(aim, why) => self.world.tell(|| format!("given up: {aim}, {why}")),
                Action::Wait(until) => return self.look_at((until.0 + self.start).min(limit)),
                Action::Done => return,
            }
        }
    }

    fn inject(&mut self, fault: Fault) {
        self.world.tell(|| format!("fault: {fault}"));
        let name = fault.kind().name();
        self.clients.nemesis(self.world.now, name, said(&fault, None));
        if let Some(seat) = members::seat_of(&fault) {
            let met = self.clients.moment(&fault.nodes());
            let evidence = Evidence::default();
            return self.begin_replacing(seat, Lasting { fault, began: self.world.now, met, evidence });
        }
        let evidence = fault.inject(&mut self.world).expect("a simulated world does what it is told");
        self.clients.nemesis(self.world.now, name, said(&fault, Some(&evidence)));
        let met = self.clients.moment(&fault.nodes());
        self.lasting.push(Lasting { fault, began: self.world.now, met, evidence });
    }

    pub(super) fn heal_fault(&mut self, fault: &Fault) {
        if let Some(seat) = members::seat_of(fault) {
            self.world.tell(|| format!("healed: {fault}"));
            return self.heal_replacing(seat);
        }
        let lasting = self.lasting.iter().position(|lasting| lasting.fault == *fault);
        let lasting = self.lasting.remove(lasting.expect("only what was injected is healed"));
        let met = self.met(&lasting);
        self.world.tell(|| format!("healed: {fault}"));
        let name = fault.kind().heal_name();
        self.clients.nemesis(self.world.now, name, said(fault, None));
        let evidence = fault.heal(&mut self.world).expect("a simulated world does what it is told");
        self.clients.nemesis(self.world.now, name, said(fault, Some(&evidence)));
        let bite = bite(fault, &lasting.evidence, &evidence, met);
        self.world.coverage.fault(fault.kind(), bite.bit());
    }

    pub(super) fn met(&self, lasting: &Lasting) -> Met {
        let (before, after) = (lasting.met, self.clients.moment(&lasting.fault.nodes()));
        Met {
            ops: after.invoked - before.invoked + before.open,
            outlived: after.open_here + after.lost_here - before.lost_here,
            lasted: Duration::from_nanos(self.world.now - lasting.began),
        }
    }
}

/// A fault as the value of a history's line, with the evidence on the second one.
pub(super) fn said(fault: &Fault, evidence: Option<&Evidence>) -> Value {
    let mut value = json!(fault);
    if let Value::Object(fields) = &mut value {
        fields.shift_remove("fault"); // `f` says it
        fields.extend(evidence.map(|evidence| ("evidence".to_owned(), json!(evidence))));
    }
    value
}
