//! The map: a city at night, and cars that are its light.
//!
//! `camera`, `motion`, `gesture`, `scene`, `names`, `labels`, `cars`, `density` and `overlay` are pure and tested on the
//! host; [`Painter`](painter::Painter) is the line between them and WebGL2. `engine` holds them together, and
//! `view` is the only part that knows of signals and events.

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
