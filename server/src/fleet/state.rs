//! All cars, and what is to be told of them. Pure: time comes in as an argument.

use std::{
    collections::HashMap,
    time::{Duration, Instant, SystemTime},
};

use rides_proto::{
    geo::LatLng,
    ids::{CarId, CarNumber},
};

use super::{
    Brief, CarView, FreeCar, LinkId, Report,
    car::Car,
    cells::{Changes, FreeIndex},
};
use crate::{
    positions::{CarDot, CellChange},
    rides::model::Crew,
};

#[derive(Debug)]
pub(super) struct FleetState {
    cars: HashMap<CarId, Car>,
    free: FreeIndex,
    /// Cars that may look different from how the last tick left them, each once.
    touched: Vec<CarId>,
    /// Cars taken off the map since the last tick, as they were shown.
    removed: Vec<CarDot>,
    grace: Duration,
    next_number: u32,
    next_link: u64,
}

impl FleetState {
    pub(super) fn new(grace: Duration) -> Self {
        Self {
            cars: HashMap::new(),
            free: FreeIndex::default(),
            touched: Vec::new(),
            removed: Vec::new(),
            grace,
            next_number: 1,
            next_link: 1,
        }
    }

    /// Connects a car. One that is here already stays what it was, with its number, job and meter.
    pub(super) fn sign_on(&mut self, crew: Crew) -> (CarNumber, LinkId) {
        let link = LinkId(self.next_link);
        self.next_link += 1;
        let id = crew.car;
        self.appear(id);
        let number = self.update(id, |car| {
            car.crew = Some(crew);
            car.link = Some(link);
            car.on_duty = true;
            car.away_since = None;
            car.forget_clock();
            car.number
        });
        (number.expect("it has just appeared"), link)
    }

    /// Whether `link` is the car's connection now.
    pub(super) fn is_current(&self, id: CarId, link: LinkId) -> bool {
        self.cars.get(&id).is_some_and(|car| car.link == Some(link))
    }

    /// Disconnects a car; it is waited for from `now` on.
    pub(super) fn disconnect(&mut self, id: CarId, now: Instant) {
        self.update(id, |car| {
            car.link = None;
            car.away_since = Some(now);
        });
    }

    /// Applies a position, given the time of day. A car nobody knew appears off duty.
    pub(super) fn report(&mut self, report: &Report, now: Instant, clock: SystemTime) {
        self.appear(report.car);
        self.update(report.car, |car| {
            car.report(report.at, report.heading_deg, report.time, clock);
            if car.crew.is_none() {
                car.away_since = Some(now);
            }
        });
    }

    pub(super) fn set_duty(&mut self, id: CarId, on_duty: bool) {
        self.update(id, |car| car.on_duty = on_duty);
    }

    /// Whether the driver is to hear of it: what is late, or was told before, is no news. Nor is there anything
    /// late about a car that is not here.
    pub(super) fn brief(&mut self, id: CarId, brief: &Brief) -> bool {
        self.update(id, |car| car.brief(brief)).unwrap_or(true)
    }

    pub(super) fn nearest_free(&self, at: LatLng, limit: usize) -> Vec<FreeCar> {
        let nearest = self.free.nearest(at, limit, |id| self.cars.get(&id)?.place());
        nearest.into_iter().filter_map(|(_, id)| self.cars.get(&id)?.as_free()).collect()
    }

    pub(super) fn car(&self, id: CarId) -> Option<CarView> {
        self.cars.get(&id).map(Car::view)
    }

    /// Takes a car off the map.
    pub(super) fn remove(&mut self, id: CarId) {
        if let Some(car) = self.cars.remove(&id) {
            self.free.relocate(id, car.free_in(), None);
            self.removed.extend(car.shown);
        }
    }

    /// Takes off the map whoever was away for too long; answers those who had signed on.
    pub(super) fn give_up_absent(&mut self, now: Instant) -> Vec<CarId> {
        let given_up: Vec<_> = self
            .cars
            .iter()
            .filter(|(_, car)| car.is_given_up(now, self.grace))
            .map(|(id, car)| (*id, car.crew.is_some()))
            .collect();
        for (id, _) in &given_up {
            self.remove(*id);
        }
        given_up.into_iter().filter_map(|(id, signed_on)| signed_on.then_some(id)).collect()
    }

    /// What changed since the last time this was asked. A car that entered and left in between is not in it.
    pub(super) fn take_changes(&mut self) -> Vec<CellChange> {
        let mut changes = Changes::default();
        for dot in self.removed.drain(..) {
            changes.note(Some(dot), None);
        }
        for id in self.touched.drain(..) {
            if let Some(car) = self.cars.get_mut(&id) {
                let dot = car.dot();
                changes.note(car.shown, dot);
                car.shown = dot;
                car.touched = false;
            }
        }
        changes.into_cells()
    }

    fn appear(&mut self, id: CarId) {
        let number = &mut self.next_number;
        self.cars.entry(id).or_insert_with(|| {
            let car = Car::new(CarNumber(*number));
            // Never given out again: a number means one car for as long as the epoch lasts.
            *number += 1;
            car
        });
    }

    /// The one way to change a car: keeps the index of free cars and the list of touched ones right.
    fn update<T>(&mut self, id: CarId, change: impl FnOnce(&mut Car) -> T) -> Option<T> {
        let car = self.cars.get_mut(&id)?;
        let before = car.free_in();
        let answer = change(car);
        self.free.relocate(id, before, car.free_in());
        // A car that was removed and came back may stand here twice; the second look finds nothing new.
        if !std::mem::replace(&mut car.touched, true) {
            self.touched.push(id);
        }
        Some(answer)
    }
}

#[cfg(test)]
mod tests;
