//! The task that owns the state of the fleet.

use std::{
    collections::{HashMap, VecDeque},
    time::SystemTime,
};

use rides_proto::{geo::LatLng, ids::CarId};
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    CarUpdate, CarView, DriverConnection, DriverConnectionId, FleetOptions, FreeCar, ORDER_QUEUE, Order,
    PositionReport, state::FleetState,
};
use crate::{positions::FleetTick, rides::model::CarAndDriver};

/// The inputs of the fleet's task.
#[derive(Debug)]
pub(super) enum Input {
    SignOn { crew: CarAndDriver, at: Option<LatLng>, reply: oneshot::Sender<DriverConnection> },
    SignOff { car: CarId, link: DriverConnectionId },
    LinkLost { car: CarId, link: DriverConnectionId },
    Report(Vec<PositionReport>),
    SetDuty { car: CarId, link: DriverConnectionId, on_duty: bool },
    UpdateCar { car: CarId, brief: Box<CarUpdate>, reply: oneshot::Sender<bool> },
    NearestFree { at: LatLng, limit: usize, reply: oneshot::Sender<Vec<FreeCar>> },
    Car { car: CarId, reply: oneshot::Sender<Option<CarView>> },
}

/// Runs until every handle is dropped.
pub(super) async fn run(
    options: FleetOptions,
    mut inbox: mpsc::Receiver<Input>,
    ticks: mpsc::Sender<FleetTick>,
    gone: mpsc::Sender<CarId>,
) {
    let mut owner = FleetTask {
        state: FleetState::new(options.grace, options.reach),
        outboxes: HashMap::new(),
        tick: 0,
        ticks,
        gone,
        unsent_gone: VecDeque::new(),
    };
    let mut timer = interval(options.tick);
    timer.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            // Biased to the timer: a flood of positions must not delay the ticks.
            biased;
            _ = timer.tick() => owner.on_tick(),
            input = inbox.recv() => match input {
                Some(input) => owner.on_input(input),
                None => return,
            },
        }
    }
}

struct FleetTask {
    state: FleetState,
    /// The queue of orders for each connected car.
    outboxes: HashMap<CarId, mpsc::Sender<Order>>,
    tick: u64,
    ticks: mpsc::Sender<FleetTick>,
    gone: mpsc::Sender<CarId>,
    /// Cars that have left the map and could not be sent yet, because `gone` was full.
    unsent_gone: VecDeque<CarId>,
}

impl FleetTask {
    // A reply to a caller that no longer waits is dropped.
    fn on_input(&mut self, input: Input) {
        match input {
            Input::SignOn { crew, at, reply } => drop(reply.send(self.sign_on(crew, at))),
            Input::SignOff { car, link } => {
                if self.state.is_current(car, link) {
                    self.outboxes.remove(&car);
                    self.state.remove(car);
                    self.unsent_gone.push_back(car);
                    self.send_gone();
                }
            }
            Input::LinkLost { car, link } => {
                if self.state.is_current(car, link) {
                    self.disconnect(car);
                }
            }
            Input::Report(reports) => self.report(&reports),
            Input::SetDuty { car, link, on_duty } => {
                if self.state.is_current(car, link) {
                    self.state.set_duty(car, on_duty);
                }
            }
            Input::UpdateCar { car, brief, reply } => drop(reply.send(self.brief(car, *brief))),
            Input::NearestFree { at, limit, reply } => drop(reply.send(self.state.nearest_free(at, limit))),
            Input::Car { car, reply } => drop(reply.send(self.state.car(car))),
        }
    }

    fn on_tick(&mut self) {
        self.tick += 1;
        self.disconnect_dropped();
        let given_up = self.state.remove_absent(now());
        self.unsent_gone.extend(given_up);
        self.send_gone();
        match self.ticks.try_reserve() {
            Ok(room) => {
                let cells = self.state.take_changes();
                room.send(FleetTick { tick: self.tick, time: SystemTime::now(), cells });
            }
            // The changes stay for the next tick.
            Err(TrySendError::Full(())) => {}
            // The receiver is gone. The changes are dropped, so that they do not accumulate.
            Err(TrySendError::Closed(())) => drop(self.state.take_changes()),
        }
    }

    fn sign_on(&mut self, crew: CarAndDriver, at: Option<LatLng>) -> DriverConnection {
        let car = crew.car;
        let (number, link) = self.state.sign_on(crew);
        if let Some(at) = at {
            // Without a time: the time here would shut out the positions of a car whose clock is behind.
            self.report(&[PositionReport { car, at, heading_deg: None, time: SystemTime::UNIX_EPOCH }]);
        }
        let (outbox, orders) = mpsc::channel(ORDER_QUEUE);
        if let Some(older) = self.outboxes.insert(car, outbox) {
            // If the queue is full, the end of the channel tells the stream enough.
            let _ = older.try_send(Order::Superseded);
        }
        DriverConnection { number, link, orders }
    }

    fn report(&mut self, reports: &[PositionReport]) {
        self.state.report(reports, now(), SystemTime::now());
    }

    /// Applies a brief. Returns `true` if its order was sent or is not needed.
    fn brief(&mut self, car: CarId, brief: CarUpdate) -> bool {
        let is_news = self.state.apply_update(car, &brief, now(), SystemTime::now());
        match brief.order {
            Some(order) if is_news => self.send(car, order),
            _ => true,
        }
    }

    fn send(&mut self, car: CarId, order: Order) -> bool {
        let Some(outbox) = self.outboxes.get(&car) else { return false };
        let sent = outbox.try_send(order).is_ok();
        if !sent {
            self.disconnect(car);
        }
        sent
    }

    fn disconnect(&mut self, car: CarId) {
        self.outboxes.remove(&car);
        self.state.disconnect(car, now());
    }

    /// Disconnects cars whose stream was dropped without a report. The receivers of their queues are closed.
    fn disconnect_dropped(&mut self) {
        let abandoned: Vec<_> =
            self.outboxes.iter().filter(|(_, outbox)| outbox.is_closed()).map(|(car, _)| *car).collect();
        for car in abandoned {
            self.disconnect(car);
        }
    }

    fn send_gone(&mut self) {
        while let Some(car) = self.unsent_gone.pop_front() {
            if let Err(TrySendError::Full(car)) = self.gone.try_send(car) {
                self.unsent_gone.push_front(car);
                return;
            }
        }
    }
}

fn now() -> std::time::Instant {
    // The clock of tokio, which tests can pause.
    Instant::now().into_std()
}

#[cfg(test)]
mod tests;
