//! The interface between the map and its renderer.

use bytemuck::{Pod, Zeroable};
use web_sys::HtmlCanvasElement;

use super::{
    cars::CarInstances,
    density::Density,
    overlay::OverlayShapes,
    scene::{GroundPos, SceneBatch},
};

/// A glyph of a name or a number.
#[derive(Clone, Copy, PartialEq, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct GlyphInstance {
    /// The middle on the screen, in pixels.
    pub at: [f32; 2],
    /// The direction of the text: cosine and sine.
    pub along: [f32; 2],
    /// Half the size of the box, in pixels.
    pub half: [f32; 2],
    /// The box in the atlas: left, top, right, bottom, from 0 to 1.
    pub atlas: [f32; 4],
    /// Colour.
    pub color: [f32; 3],
}

/// The view of the ground.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct GroundView {
    /// The point in the middle of the screen.
    pub center: GroundPos,
    /// The scale in pixels per metre.
    pub px_per_m: f32,
    /// The size of the map in CSS pixels.
    pub viewport: [f32; 2],
    /// The number of device pixels per CSS pixel.
    pub dpr: f32,
}

impl GroundView {
    /// Returns the position on the screen in pixels from the top left corner.
    pub fn screen_from_ground(&self, at: GroundPos) -> [f32; 2] {
        [0, 1].map(|axis| (at[axis] - self.center[axis]) * self.px_per_m + self.viewport[axis] / 2.0)
    }
}

/// The parameters of a frame.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct FrameParams {
    /// The view of the ground.
    pub look: GroundView,
    /// Seconds since [`CarInstances::base`].
    pub cars_now: f32,
    /// The time in seconds for pulsing and flowing animations. It is constant for people who prefer reduced motion.
    pub phase: f32,
    /// `true` while the camera moves, so that a slow painter may paint less detail.
    pub moving: bool,
}

/// A renderer that keeps geometry and paints frames.
pub trait Painter {
    /// Starts a new city with this box on the ground: its north-western and south-eastern corners. All batches
    /// are removed.
    fn start(&mut self, extent: (GroundPos, GroundPos));
    /// Adds a batch of the city.
    fn add(&mut self, batch: &SceneBatch);
    /// Sets the atlas of glyphs.
    fn set_atlas(&mut self, letters: &HtmlCanvasElement);
    /// Replaces the names on the screen.
    fn set_names(&mut self, glyphs: &[GlyphInstance]);
    /// Replaces the cars.
    fn set_cars(&mut self, cars: &CarInstances);
    /// Replaces the densities.
    fn set_density(&mut self, density: &Density);
    /// Replaces the numbers of the densities on the screen.
    fn set_numbers(&mut self, glyphs: &[GlyphInstance]);
    /// Replaces the shapes of the ride.
    fn set_overlay(&mut self, shapes: &OverlayShapes);
    /// Paints a frame.
    fn paint(&mut self, frame: &FrameParams);
    /// Returns the error of the newest frame, if it could not be painted.
    fn failure(&self) -> Option<String>;
    /// Returns the largest side of a canvas, in device pixels.
    fn max_side(&self) -> f64;
}
