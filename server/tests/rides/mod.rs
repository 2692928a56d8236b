//! Rides from booking to fare, with riders on both wires and cars driven by hand.

mod booking;
mod cancelling;
mod disk;
mod fares;
mod fields;
mod kept;
mod life;
mod listing;
mod offers;
mod restart;
mod street;
mod uploads;
mod watching;
