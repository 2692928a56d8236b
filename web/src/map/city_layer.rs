//! The city on the GPU: land, water, streets, rails, buildings and names, painted from back to front.

use web_sys::{HtmlCanvasElement, WebGl2RenderingContext as Gl, WebGlTexture};

use super::{
    gl::{Geometry, GlError, Program, new_texture, shader},
    painter::{GlyphInstance, GroundView},
    palette::{self, Rgb, Stroke},
    scene::{GroundPos, Mesh, SceneBatch, Segment},
    webgl::set_ground_view,
};
use crate::model::{RailKind, StreetClass};

const STREETS: [StreetClass; 7] = [
    StreetClass::Motorway,
    StreetClass::Primary,
    StreetClass::Secondary,
    StreetClass::Tertiary,
    StreetClass::Residential,
    StreetClass::Service,
    StreetClass::Footway,
];
const RAILS: [RailKind; 3] = [RailKind::Train, RailKind::Tram, RailKind::Subway];
/// The scale in pixels per metre from which windows are visible. They are fully visible at twice this scale.
const WINDOWS_FROM: f32 = 1.1;

/// The scale in pixels per metre from which ties are drawn under rails.
const TIES_FROM: f32 = 1.2;

/// A batch of the city on the GPU.
struct GpuBatch {
    parks: Geometry,
    water: Geometry,
    squares: Geometry,
    buildings: Geometry,
    shores: Geometry,
    streets: Geometry,
    rails: Geometry,
    roof_edges: Geometry,
}

impl GpuBatch {
    fn new(gl: &Gl, batch: &SceneBatch) -> Result<Self, GlError> {
        let flat = |mesh: &Mesh<GroundPos>| {
            let mut geometry = Geometry::new(gl, &[2])?;
            geometry.upload_mesh(&mesh.vertices, &mesh.indices);
            Ok::<_, GlError>(geometry)
        };
        let mut buildings = Geometry::new(gl, &[3, 3])?;
        buildings.upload_mesh(&batch.buildings.vertices, &batch.buildings.indices);
        let lines = |segments: &[Segment]| {
            let mut geometry = Geometry::new(gl, &[4, 3])?;
            geometry.upload_quads(segments);
            Ok::<_, GlError>(geometry)
        };
        Ok(Self {
            parks: flat(&batch.parks)?,
            water: flat(&batch.water)?,
            squares: flat(&batch.squares)?,
            buildings,
            shores: lines(&batch.shores)?,
            streets: lines(&batch.streets)?,
            rails: lines(&batch.rails)?,
            roof_edges: lines(&batch.roof_edges)?,
        })
    }
}

/// The city: everything that moves only with the camera.
pub(super) struct CityLayer {
    gl: Gl,
    fill: Program,
    line: Program,
    building: Program,
    shadow: Program,
    night: Program,
    name: Program,
    batches: Vec<GpuBatch>,
    names: Geometry,
    atlas: WebGlTexture,
    extent: (GroundPos, GroundPos),
}

impl CityLayer {
    pub(super) fn new(gl: &Gl) -> Result<Self, GlError> {
        let program = |vertex, fragment| Program::new(gl, vertex, fragment);
        Ok(Self {
            fill: program(shader!("fill.vert"), shader!("fill.frag"))?,
            line: program(shader!("line.vert"), shader!("line.frag"))?,
            building: program(shader!("building.vert"), shader!("building.frag"))?,
            shadow: program(shader!("building.vert"), shader!("fill.frag"))?,
            night: program(shader!("screen.vert"), shader!("night.frag"))?,
            name: program(shader!("name.vert"), shader!("name.frag"))?,
            batches: Vec::new(),
            names: letters(gl)?,
            atlas: new_texture(gl)?,
            extent: ([0.0; 2], [0.0; 2]),
            gl: gl.clone(),
        })
    }

    pub(super) fn clear(&mut self, extent: (GroundPos, GroundPos)) {
        self.batches.clear();
        self.extent = extent;
    }

    pub(super) fn add(&mut self, batch: &SceneBatch) {
        // Fails only if the context is lost, which the browser reports by an event.
        if let Ok(batch) = GpuBatch::new(&self.gl, batch) {
            self.batches.push(batch);
        }
    }

    pub(super) fn set_atlas(&self, letters: &HtmlCanvasElement) {
        self.gl.bind_texture(Gl::TEXTURE_2D, Some(&self.atlas));
        // The atlas stores coverage in its colour channels, which is correct only with premultiplied alpha.
        self.gl.pixel_storei(Gl::UNPACK_PREMULTIPLY_ALPHA_WEBGL, 1);
        // A failed upload only means that no text is visible.
        let _ = self.gl.tex_image_2d_with_u32_and_u32_and_html_canvas_element(
            Gl::TEXTURE_2D,
            0,
            Gl::RGBA8 as i32,
            Gl::RGBA,
            Gl::UNSIGNED_BYTE,
            letters,
        );
    }

    pub(super) fn set_names(&mut self, glyphs: &[GlyphInstance]) {
        self.names.upload_quads(glyphs);
    }

    /// Paints the city into the bound framebuffer.
    pub(super) fn paint(&self, look: &GroundView) {
        let gl = &self.gl;
        let [r, g, b] = palette::LAND;
        gl.clear_color(r, g, b, 1.0);
        gl.clear_depth(1.0);
        gl.clear_stencil(0);
        gl.depth_mask(true);
        gl.clear(Gl::COLOR_BUFFER_BIT | Gl::DEPTH_BUFFER_BIT | Gl::STENCIL_BUFFER_BIT);
        gl.disable(Gl::DEPTH_TEST);
        gl.enable(Gl::BLEND);
        gl.blend_func(Gl::ONE, Gl::ONE_MINUS_SRC_ALPHA);
        self.paint_areas(look);
        self.paint_streets(look);
        self.paint_rails(look);
        self.paint_shadows(look);
        self.paint_buildings(look);
        self.paint_night(look);
        self.paint_names(look);
    }

    fn paint_areas(&self, look: &GroundView) {
        let fill = |color: Rgb, part: fn(&GpuBatch) -> &Geometry| {
            self.fill.bind().set("u_color", &opaque(color));
            set_ground_view(&self.fill, look);
            self.batches.iter().for_each(|batch| part(batch).draw());
        };
        fill(palette::PARK, |batch| &batch.parks);
        fill(palette::WATER, |batch| &batch.water);
        // A glow along the shore, on both sides of it.
        self.gl.blend_equation(Gl::MAX);
        let soft = (7.0 * look.px_per_m).clamp(5.0, 18.0);
        self.strokes(look, &[(palette::SHORE, 1.0)], soft);
        self.line.set("u_soft", &[soft]);
        self.batches.iter().for_each(|batch| batch.shores.draw());
        self.gl.blend_equation(Gl::FUNC_ADD);
        fill(palette::SQUARE, |batch| &batch.squares);
    }

    /// Paints the streets from the last batch to the first, because the most important streets arrived first.
    fn paint_streets(&self, look: &GroundView) {
        let half = |stroke: Stroke| stroke.width_px(look.px_per_m) / 2.0;
        let rim = (0.9 * look.px_per_m).clamp(0.7, 2.0);
        let casing = STREETS.map(|class| match class {
            StreetClass::Footway => (palette::CASING, 0.0),
            _ => (palette::CASING, half(palette::street(class)) + rim),
        });
        // At close range streets are wide, and the full colour would be too bright.
        let light = 1.0 - 0.34 * ((look.px_per_m - 1.0) / 3.0).clamp(0.0, 1.0);
        let body = STREETS.map(palette::street).map(|stroke| (stroke.color.map(|c| c * light), half(stroke)));
        for strokes in [casing, body] {
            self.strokes(look, &strokes, 0.0);
            self.batches.iter().rev().for_each(|batch| batch.streets.draw());
        }
    }

    fn paint_rails(&self, look: &GroundView) {
        // Ties would flicker at a distance.
        let parts: &[fn(RailKind) -> Stroke] = match look.px_per_m < TIES_FROM {
            true => &[palette::rail],
            false => &[palette::ties, palette::rail],
        };
        for part in parts {
            let strokes = RAILS.map(part);
            let dashes = strokes.map(|stroke| stroke.dash_px);
            let strokes = strokes.map(|stroke| (stroke.color, stroke.width_px(look.px_per_m) / 2.0));
            self.strokes(look, &strokes, 0.0);
            self.line.set_vec2s("u_dashes", &dashes);
            self.batches.iter().for_each(|batch| batch.rails.draw());
        }
    }

    /// Paints the shadows. The stencil makes overlapping shadows no darker than a single one.
    fn paint_shadows(&self, look: &GroundView) {
        let gl = &self.gl;
        gl.enable(Gl::STENCIL_TEST);
        gl.stencil_func(Gl::EQUAL, 0, 0xff);
        gl.stencil_op(Gl::KEEP, Gl::KEEP, Gl::INCR);
        self.shadow.bind().set("u_color", &[0.0, 0.0, 0.0, 0.42]).set("u_shadow", &[1.0]);
        set_ground_view(&self.shadow, look);
        self.batches.iter().for_each(|batch| batch.buildings.draw());
        gl.disable(Gl::STENCIL_TEST);
    }

    fn paint_buildings(&self, look: &GroundView) {
        let gl = &self.gl;
        gl.enable(Gl::DEPTH_TEST);
        gl.depth_func(Gl::LEQUAL);
        let windows = ((look.px_per_m - WINDOWS_FROM) / WINDOWS_FROM).clamp(0.0, 1.0) * 0.75;
        self.building
            .bind()
            .set("u_shadow", &[0.0])
            .set("u_roof", &palette::ROOF)
            .set("u_window", &palette::WINDOW)
            .set("u_windows", &[windows]);
        set_ground_view(&self.building, look);
        self.batches.iter().for_each(|batch| batch.buildings.draw());
        let half = (0.35 * look.px_per_m).clamp(0.4, 1.0);
        self.strokes(look, &[(palette::ROOF_EDGE, half)], 0.0);
        self.batches.iter().for_each(|batch| batch.roof_edges.draw());
        gl.disable(Gl::DEPTH_TEST);
    }

    fn paint_night(&self, look: &GroundView) {
        let ([west, north], [east, south]) = self.extent;
        self.night.bind().set("u_extent", &[west, north, east, south]).set("u_beyond", &palette::BEYOND);
        set_ground_view(&self.night, look);
        self.gl.draw_arrays(Gl::TRIANGLES, 0, 3);
    }

    fn paint_names(&self, look: &GroundView) {
        self.paint_letters(&self.names, look);
    }

    /// Paints glyphs of the atlas.
    pub(super) fn paint_letters(&self, letters: &Geometry, look: &GroundView) {
        self.gl.bind_texture(Gl::TEXTURE_2D, Some(&self.atlas));
        self.name.bind().set("u_halo", &palette::HALO);
        set_ground_view(&self.name, look);
        letters.draw();
    }

    /// Binds the line program for solid strokes with these colours and half widths in pixels.
    fn strokes(&self, look: &GroundView, strokes: &[(Rgb, f32)], pad: f32) {
        let packed: Vec<[f32; 4]> = strokes.iter().map(|([r, g, b], half)| [*r, *g, *b, *half]).collect();
        self.line
            .bind()
            .set_vec4s("u_strokes", &packed)
            .set_vec2s("u_dashes", &[[0.0; 2]; 8])
            .set("u_pad", &[pad])
            .set("u_soft", &[0.0])
            .set("u_alpha", &[1.0]);
        set_ground_view(&self.line, look);
    }
}

/// Creates an empty geometry for glyphs of the atlas.
pub(super) fn letters(gl: &Gl) -> Result<Geometry, GlError> {
    Geometry::new(gl, &[2, 2, 2, 4, 3])
}

fn opaque([r, g, b]: Rgb) -> [f32; 4] {
    [r, g, b, 1.0]
}
