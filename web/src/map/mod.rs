//! The map: the city at night, with moving cars, densities, the followed ride and the draft.
//!
//! `camera`, `motion`, `gesture`, `attack_run`, `names`, `labels`, `cars`, `density` and `overlay` are pure and
//! tested on the host. [`Painter`](painter::Painter) separates them from WebGL2. `engine` connects all of them,
//! and only `view` handles signals and events.

pub mod camera;
pub mod cars;
mod city_layer;
pub mod density;
mod density_layer;
pub mod engine;
pub mod gesture;
pub mod gl;
pub mod glyphs;
pub mod labels;
pub mod motion;
pub mod names;
pub mod overlay;
pub mod painter;
pub mod palette;
pub mod scene;
pub mod view;
pub mod webgl;

pub use camera::Padding;
pub use overlay::{Move, Overlay, Target};
pub use view::MapView;
