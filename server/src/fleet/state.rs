//! The state of all cars, and the changes for the next tick. Pure: time is an argument.

use std::{
    collections::HashMap,
    time::{Duration, Instant, SystemTime},
};

use rides_proto::{
    geo::LatLng,
    ids::{CarId, CarNumber},
};
use slab::Slab;

use super::{
    CarUpdate, CarView, DriverConnectionId, FreeCar, PositionReport,
    car::Car,
    cells::{Changes, FreeIndex},
};
use crate::{
    positions::{CarDot, CellChange},
    rides::{drivable_distance::DrivableDistance, model::CarAndDriver},
};

#[derive(Debug)]
pub(super) struct FleetState {
    cars: Slab<Car>,
    /// The slot of each car in `cars`.
    slots: HashMap<CarId, usize>,
    free: FreeIndex,
    /// The slots of cars that may have changed since the last tick.
    touched: Vec<usize>,
    /// The cars that were removed since the last tick, as the map showed them.
    removed: Vec<CarDot>,
    grace: Duration,
    reach: DrivableDistance,
    next_number: u32,
    next_link: u64,
}

impl FleetState {
    pub(super) fn new(grace: Duration, reach: DrivableDistance) -> Self {
        Self {
            cars: Slab::new(),
            slots: HashMap::new(),
            free: FreeIndex::default(),
            touched: Vec::new(),
            removed: Vec::new(),
            grace,
            reach,
            next_number: 1,
            next_link: 1,
        }
    }

    /// Connects a car. A car that is on the map already keeps its number, ride and meter.
    pub(super) fn sign_on(&mut self, crew: CarAndDriver) -> (CarNumber, DriverConnectionId) {
        let link = DriverConnectionId(self.next_link);
        self.next_link += 1;
        let slot = self.appear(crew.car);
        let number = self.change(slot, |car| {
            car.crew = Some(Box::new(crew));
            car.link = Some(link);
            car.on_duty = true;
            car.away_since = None;
            car.forget_clock();
            car.number
        });
        (number, link)
    }

    /// Returns `true` if `link` is the present connection of the car.
    pub(super) fn is_current(&self, id: CarId, link: DriverConnectionId) -> bool {
        self.get(id).is_some_and(|car| car.link == Some(link))
    }

    /// Disconnects a car. Its grace time begins at `now`.
    pub(super) fn disconnect(&mut self, id: CarId, now: Instant) {
        self.update(id, |car| {
            car.link = None;
            car.away_since = Some(now);
        });
    }

    /// Applies positions in their order. `clock` is the time of day. An unknown car is added as off duty.
    pub(super) fn report(&mut self, reports: &[PositionReport], now: Instant, clock: SystemTime) {
        // All slots are looked up first, so that the processor waits for the memory of several cars at once.
        let slots: Vec<_> = reports.iter().map(|report| self.appear(report.car)).collect();
        let reach = self.reach;
        for (report, slot) in reports.iter().zip(slots) {
            self.change(slot, |car| {
                car.report(report, now, clock, reach);
                if car.crew.is_none() {
                    car.away_since = Some(now);
                }
            });
        }
    }

    pub(super) fn set_duty(&mut self, id: CarId, on_duty: bool) {
        self.update(id, |car| car.on_duty = on_duty);
    }

    /// Applies a brief. Returns `true` if the driver is to get its order: it is not late, and the driver did not get
    /// it already. Always `true` for a car that is not on the map.
    pub(super) fn apply_update(
        &mut self,
        id: CarId,
        brief: &CarUpdate,
        now: Instant,
        clock: SystemTime,
    ) -> bool {
        self.update(id, |car| car.apply_update(brief, now, clock)).unwrap_or(true)
    }

    pub(super) fn nearest_free(&self, at: LatLng, limit: usize) -> Vec<FreeCar> {
        let nearest = self.free.nearest(at, limit, |id| self.get(id)?.place());
        nearest.into_iter().filter_map(|(_, id)| self.get(id)?.as_free()).collect()
    }

    pub(super) fn car(&self, id: CarId) -> Option<CarView> {
        self.get(id).map(Car::view)
    }

    /// Takes a car off the map.
    pub(super) fn remove(&mut self, id: CarId) {
        if let Some(slot) = self.slots.remove(&id) {
            let car = self.cars.remove(slot);
            self.free.relocate(id, car.free_cell(), None);
            self.removed.extend(car.shown);
        }
    }

    /// Takes cars off the map whose grace time is over. Returns those that had signed on.
    pub(super) fn remove_absent(&mut self, now: Instant) -> Vec<CarId> {
        let given_up: Vec<_> = self
            .cars
            .iter()
            .filter(|(_, car)| car.is_grace_over(now, self.grace))
            .map(|(_, car)| (car.id, car.crew.is_some()))
            .collect();
        for (id, _) in &given_up {
            self.remove(*id);
        }
        given_up.into_iter().filter_map(|(id, signed_on)| signed_on.then_some(id)).collect()
    }

    /// Returns the changes since the last call. A car that entered and left in between is not among them.
    pub(super) fn take_changes(&mut self) -> Vec<CellChange> {
        let mut changes = Changes::default();
        for dot in self.removed.drain(..) {
            changes.record(Some(dot), None);
        }
        for slot in self.touched.drain(..) {
            // A slot that was freed and reused is in the list twice. The second comparison finds no change.
            if let Some(car) = self.cars.get_mut(slot) {
                let dot = car.dot();
                changes.record(car.shown, dot);
                car.shown = dot;
                car.touched = false;
            }
        }
        changes.into_cells()
    }

    fn get(&self, id: CarId) -> Option<&Car> {
        self.cars.get(*self.slots.get(&id)?)
    }

    /// Returns the slot of a car, and adds the car if it is unknown.
    fn appear(&mut self, id: CarId) -> usize {
        let Self { cars, slots, next_number, .. } = self;
        *slots.entry(id).or_insert_with(|| {
            let number = CarNumber(*next_number);
            // Never reused: a number means one car for the whole epoch.
            *next_number += 1;
            cars.insert(Car::new(id, number))
        })
    }

    fn update<T>(&mut self, id: CarId, change: impl FnOnce(&mut Car) -> T) -> Option<T> {
        let slot = *self.slots.get(&id)?;
        Some(self.change(slot, change))
    }

    /// Changes a car. Every change must be made here, because this keeps the index of free cars and the list of
    /// touched cars up to date.
    fn change<T>(&mut self, slot: usize, change: impl FnOnce(&mut Car) -> T) -> T {
        let car = &mut self.cars[slot];
        let before = car.free_cell();
        let answer = change(car);
        self.free.relocate(car.id, before, car.free_cell());
        if !std::mem::replace(&mut car.touched, true) {
            self.touched.push(slot);
        }
        answer
    }
}

#[cfg(test)]
mod tests;
