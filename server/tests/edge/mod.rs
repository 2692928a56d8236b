//! The port itself: what goes where, what is refused, and how things end.

mod content_types;
mod deadlines;
mod drain;
mod introspection;
mod limits;
mod origins;
mod pages;
mod services;
