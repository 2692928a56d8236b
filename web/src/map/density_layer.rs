//! The densities on the GPU.

use web_sys::{WebGl2RenderingContext as Gl, WebGlTexture};

use super::{
    density::Density,
    gl::{GlError, Program, new_texture, shader},
    painter::GroundView,
    palette,
    webgl::set_ground_view,
};

/// A texture with one pixel per cell, and the program that draws it.
pub(super) struct DensityLayer {
    gl: Gl,
    program: Program,
    levels: WebGlTexture,
    /// The north-western corner on the ground and the side of a cell, in metres. A side of 0 means that there
    /// is nothing to draw.
    place: [f32; 3],
}

impl DensityLayer {
    pub(super) fn new(gl: &Gl) -> Result<Self, GlError> {
        let program = Program::new(gl, shader!("density.vert"), shader!("density.frag"))?;
        Ok(Self { gl: gl.clone(), program, levels: new_texture(gl)?, place: [0.0; 3] })
    }

    pub(super) fn set(&mut self, density: &Density) {
        let [west, north] = density.min;
        self.place = [west, north, density.cell_m];
        if density.is_empty() {
            return;
        }
        let gl = &self.gl;
        gl.bind_texture(Gl::TEXTURE_2D, Some(&self.levels));
        gl.pixel_storei(Gl::UNPACK_ALIGNMENT, 1);
        let (columns, rows) =
            (density.columns as i32, density.fullness.len() as i32 / density.columns as i32);
        // Fails only if the context is lost, which the browser reports by an event.
        let _ = gl.tex_image_2d_with_i32_and_i32_and_i32_and_format_and_type_and_opt_u8_array(
            Gl::TEXTURE_2D,
            0,
            Gl::R8 as i32,
            columns,
            rows,
            0,
            Gl::RED,
            Gl::UNSIGNED_BYTE,
            Some(&density.fullness),
        );
    }

    pub(super) fn paint(&self, look: &GroundView) {
        if self.place[2] == 0.0 {
            return;
        }
        self.gl.bind_texture(Gl::TEXTURE_2D, Some(&self.levels));
        self.program.bind().set("u_place", &self.place);
        self.program.set_vec3s("u_ramp", &palette::DENSITY);
        set_ground_view(&self.program, look);
        self.gl.draw_arrays(Gl::TRIANGLE_STRIP, 0, 4);
    }
}
