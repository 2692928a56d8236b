//! Rides from booking to fare. Riders use gRPC and gRPC-Web, and the tests drive the cars.

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
