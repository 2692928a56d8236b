//! The painter for WebGL2.
//!
//! The city and its names change only with the camera, so they are painted into an offscreen canvas. A frame is
//! this canvas with the densities, the routes, the cars and the pins on top.

use rides_proto::math::pow;
use wasm_bindgen::JsCast;
use web_sys::{HtmlCanvasElement, WebGl2RenderingContext as Gl, WebGlContextAttributes};

use super::{
    cars::CarInstances,
    city_layer::{CityLayer, letters},
    density::Density,
    density_layer::DensityLayer,
    gl::{Geometry, GlError, Program, RenderTarget, is_software, max_side, shader},
    overlay::OverlayShapes,
    painter::{FrameParams, GlyphInstance, GroundView, Painter},
    palette,
    scene::{GroundPos, SceneBatch},
};

/// The number of samples of antialiasing.
const SAMPLES: i32 = 4;
/// Half of the route's width, in pixels.
const ROUTE_HALF_PX: f32 = 2.6;
/// The reach of the route's glow, in pixels.
const ROUTE_GLOW_PX: f32 = 16.0;

/// The offscreen canvas of the city.
struct CityCache {
    canvas: RenderTarget,
    samples: i32,
    /// The look with which the city was painted; `None` if the city has changed since.
    look: Option<GroundView>,
}

/// A painter for an HTML canvas.
pub struct WebGlPainter {
    gl: Gl,
    city: CityLayer,
    picture: Option<CityCache>,
    is_software: bool,
    max_side: f64,
    failure: Option<String>,
    copy: Program,
    lines: Program,
    car: Program,
    pin: Program,
    cars: Geometry,
    density: DensityLayer,
    numbers: Geometry,
    pins: Geometry,
    route: Geometry,
    way: Geometry,
    route_m: f32,
}

impl WebGlPainter {
    /// Creates a painter for `canvas` and clears it.
    /// Fails if the browser has no WebGL2, or if the driver reports an error.
    pub fn new(canvas: &HtmlCanvasElement) -> Result<Self, GlError> {
        let attributes = WebGlContextAttributes::new();
        attributes.set_alpha(false);
        attributes.set_antialias(false);
        attributes.set_depth(false);
        let context = canvas.get_context_with_context_options("webgl2", &attributes)?;
        let gl: Gl = context.ok_or(GlError::Unsupported)?.unchecked_into();
        // An unpainted canvas is black.
        let [r, g, b] = palette::LAND;
        gl.clear_color(r, g, b, 1.0);
        gl.clear(Gl::COLOR_BUFFER_BIT);
        let program = |vertex, fragment| Program::new(&gl, vertex, fragment);
        Ok(Self {
            city: CityLayer::new(&gl)?,
            picture: None,
            is_software: is_software(&gl),
            max_side: max_side(&gl),
            failure: None,
            copy: program(shader!("screen.vert"), shader!("copy.frag"))?,
            lines: program(shader!("line.vert"), shader!("route.frag"))?,
            car: program(shader!("car.vert"), shader!("car.frag"))?,
            pin: program(shader!("pin.vert"), shader!("pin.frag"))?,
            cars: Geometry::new(&gl, &[4, 4, 4])?,
            density: DensityLayer::new(&gl)?,
            numbers: letters(&gl)?,
            pins: Geometry::new(&gl, &[2, 4])?,
            route: Geometry::new(&gl, &[4, 3])?,
            way: Geometry::new(&gl, &[4, 3])?,
            route_m: 0.0,
            gl,
        })
    }

    /// Returns `true` if the browser renders without a GPU.
    pub fn is_software(&self) -> bool {
        self.is_software
    }

    /// Paints the city into the offscreen canvas, unless the canvas is up to date.
    /// Antialiasing costs four times the work. Without a GPU it is off while the camera moves.
    fn picture_city(&mut self, frame: &FrameParams, size: (i32, i32)) -> Result<(), GlError> {
        let samples = if self.is_software && frame.moving { 0 } else { SAMPLES };
        let mut picture = match self.picture.take() {
            Some(picture) if picture.canvas.size() == size && picture.samples == samples => picture,
            _ => CityCache { canvas: RenderTarget::new(&self.gl, size, samples)?, samples, look: None },
        };
        if picture.look != Some(frame.look) {
            picture.canvas.begin();
            self.city.paint(&frame.look);
            picture.canvas.end();
            picture.look = Some(frame.look);
        }
        self.picture = Some(picture);
        Ok(())
    }

    /// Marks the offscreen canvas as out of date.
    fn forget_picture(&mut self) {
        if let Some(picture) = &mut self.picture {
            picture.look = None;
        }
    }

    fn paint_ways(&self, frame: &FrameParams) {
        self.gl.blend_equation(Gl::MAX);
        self.lines.bind();
        set_ground_view(&self.lines, &frame.look);
        self.lines.set("u_pad", &[ROUTE_GLOW_PX]).set("u_phase", &[frame.phase]);
        let stroke = |[r, g, b]: palette::Rgb, half: f32| [[r, g, b, half]];
        self.lines
            .set_vec4s("u_strokes", &stroke(palette::WAY_TO_CAR, ROUTE_HALF_PX * 0.7))
            .set("u_end_color", &palette::WAY_TO_CAR)
            .set("u_strength", &[0.62]);
        self.way.draw();
        self.lines
            .set_vec4s("u_strokes", &stroke(palette::PICKUP, ROUTE_HALF_PX))
            .set("u_end_color", &palette::DROPOFF)
            .set("u_total", &[self.route_m * frame.look.px_per_m])
            .set("u_strength", &[1.0]);
        self.route.draw();
        self.gl.blend_equation(Gl::FUNC_ADD);
    }

    fn paint_cars(&self, frame: &FrameParams) {
        // The lights of many cars would add up to white, so with more cars each light is smaller and dimmer.
        let crowd = 500.0 / self.cars.len().max(500) as f32;
        let shrink = pow(f64::from(crowd), 0.15) as f32;
        self.car.bind();
        set_ground_view(&self.car, &frame.look);
        self.car
            .set("u_now", &[frame.cars_now])
            .set("u_phase", &[frame.phase])
            .set("u_light", &[crowd])
            .set("u_size_px", &[palette::car_half_px(frame.look.px_per_m) * shrink]);
        self.cars.draw();
    }

    fn paint_pins(&self, frame: &FrameParams) {
        self.pin.bind();
        set_ground_view(&self.pin, &frame.look);
        self.pin.set("u_phase", &[frame.phase]);
        self.pins.draw();
    }
}

impl Painter for WebGlPainter {
    fn start(&mut self, extent: (GroundPos, GroundPos)) {
        self.city.clear(extent);
        self.forget_picture();
    }

    fn add(&mut self, batch: &SceneBatch) {
        self.city.add(batch);
        self.forget_picture();
    }

    fn set_atlas(&mut self, letters: &HtmlCanvasElement) {
        self.city.set_atlas(letters);
    }

    fn set_names(&mut self, glyphs: &[GlyphInstance]) {
        self.city.set_names(glyphs);
        self.forget_picture();
    }

    fn set_cars(&mut self, cars: &CarInstances) {
        self.cars.upload_quads(&cars.cars);
    }

    fn set_density(&mut self, density: &Density) {
        self.density.set(density);
    }

    fn set_numbers(&mut self, glyphs: &[GlyphInstance]) {
        self.numbers.upload_quads(glyphs);
    }

    fn set_overlay(&mut self, shapes: &OverlayShapes) {
        self.route.upload_quads(&shapes.route);
        self.way.upload_quads(&shapes.way_to_car);
        self.pins.upload_quads(&shapes.pins);
        self.route_m = shapes.route_m;
    }

    fn paint(&mut self, frame: &FrameParams) {
        let size = frame.look.viewport.map(|px| (px * frame.look.dpr).round().max(1.0) as i32);
        self.gl.viewport(0, 0, size[0], size[1]);
        self.failure = self.picture_city(frame, (size[0], size[1])).err().map(|error| error.to_string());
        let Some(picture) = &self.picture else { return };
        self.gl.disable(Gl::BLEND);
        self.copy.bind();
        self.gl.bind_texture(Gl::TEXTURE_2D, Some(picture.canvas.texture()));
        self.gl.draw_arrays(Gl::TRIANGLES, 0, 3);
        self.gl.enable(Gl::BLEND);
        self.gl.blend_func(Gl::ONE, Gl::ONE_MINUS_SRC_ALPHA);
        self.density.paint(&frame.look);
        self.city.paint_letters(&self.numbers, &frame.look);
        self.paint_ways(frame);
        self.paint_cars(frame);
        self.paint_pins(frame);
    }

    fn failure(&self) -> Option<String> {
        self.failure.clone()
    }

    fn max_side(&self) -> f64 {
        self.max_side
    }
}

/// Sets the uniforms of `view.glsl`.
pub(super) fn set_ground_view(program: &Program, look: &GroundView) {
    let [w, h] = look.viewport;
    program
        .set("u_center", &look.center)
        .set("u_viewport", &look.viewport)
        .set("u_px_per_m", &[look.px_per_m])
        .set("u_dpr", &[look.dpr])
        // The eye is higher for a larger screen, so that buildings lean by the same ratio on every screen.
        .set("u_eye_m", &[(0.85 * w.max(h).max(800.0) / look.px_per_m).max(150.0)]);
}
