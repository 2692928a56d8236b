//! What the map needs of whoever paints it.

use bytemuck::{Pod, Zeroable};
use web_sys::HtmlCanvasElement;

use super::{
    cars::CarInstances,
    density::Density,
    overlay::OverlayShapes,
    scene::{Batch, GroundPos},
};

/// One glyph of a name.
#[derive(Clone, Copy, PartialEq, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct GlyphInstance {
    /// Its middle on the screen, pixels.
    pub at: [f32; 2],
    /// The direction of the writing: cosine and sine.
    pub along: [f32; 2],
    /// Half its box, pixels.
    pub half: [f32; 2],
    /// Its box in the atlas: left, top, right, bottom, 0 to 1.
    pub atlas: [f32; 4],
    /// Colour.
    pub color: [f32; 3],
}

/// How the ground is seen.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Look {
    /// In the middle of the screen.
    pub center: GroundPos,
    /// Scale.
    pub px_per_m: f32,
    /// CSS pixels.
    pub viewport: [f32; 2],
    /// Device pixels a CSS pixel.
    pub dpr: f32,
}

impl Look {
    /// Pixels from the top left of the screen.
    pub fn screen_from_ground(&self, at: GroundPos) -> [f32; 2] {
        [0, 1].map(|axis| (at[axis] - self.center[axis]) * self.px_per_m + self.viewport[axis] / 2.0)
    }
}

/// One frame.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Frame {
    /// How the ground is seen.
    pub look: Look,
    /// Seconds after the cars' `base`.
    pub cars_now: f32,
    /// Seconds, for whatever pulses and flows; stands still when people asked for less motion.
    pub phase: f32,
    /// The camera is on its way: a painter that is slow may be coarse.
    pub moving: bool,
}

/// Keeps geometry and puts frames on the screen.
pub trait Painter {
    /// The city's box on the ground, north-western and south-eastern corner. Forgets what there was.
    fn start(&mut self, extent: (GroundPos, GroundPos));
    /// More of the city.
    fn add(&mut self, batch: &Batch);
    /// The letters that names are made of.
    fn set_atlas(&mut self, letters: &HtmlCanvasElement);
    /// All names on the screen, instead of those before.
    fn set_names(&mut self, glyphs: &[GlyphInstance]);
    /// All cars, instead of those before.
    fn set_cars(&mut self, cars: &CarInstances);
    /// Where cars are too many to be drawn, instead of what was there before.
    fn set_density(&mut self, density: &Density);
    /// The numbers of its cells on the screen, instead of those before.
    fn set_numbers(&mut self, glyphs: &[GlyphInstance]);
    /// The ride's shapes, instead of those before.
    fn set_overlay(&mut self, shapes: &OverlayShapes);
    /// Puts a frame on the screen.
    fn paint(&mut self, frame: &Frame);
    /// The reason why the newest frame is not as it should be, if anyone can tell.
    fn failure(&self) -> Option<String>;
    /// The largest side of a picture, device pixels.
    fn max_side(&self) -> f64;
}
