//! Densities on the GPU.

use web_sys::{WebGl2RenderingContext as Gl, WebGlTexture};

use super::{
    density::Density,
    gl::{GlError, Program, new_texture, shader},
    painter::Look,
    palette,
    webgl::set_look,
};

/// A picture of one pixel a cell, which its shader draws smoothly.
pub(super) struct DensityLayer {
    gl: Gl,
    program: Program,
    levels: WebGlTexture,
    /// West, north, east, south on the ground; `None`: nothing to draw.
    extent: Option<[f32; 4]>,
}

impl DensityLayer {
    pub(super) fn new(gl: &Gl) -> Result<Self, GlError> {
        let program = Program::new(gl, shader!("density.vert"), shader!("density.frag"))?;
        Ok(Self { gl: gl.clone(), program, levels: new_texture(gl)?, extent: None })
    }

    pub(super) fn set(&mut self, density: &Density) {
        let ([west, north], [east, south]) = (density.min, density.max);
        self.extent = (!density.is_empty()).then_some([west, north, east, south]);
        if density.is_empty() {
            return;
        }
        let gl = &self.gl;
        gl.bind_texture(Gl::TEXTURE_2D, Some(&self.levels));
        gl.pixel_storei(Gl::UNPACK_ALIGNMENT, 1);
        let (columns, rows) = (density.columns as i32, density.levels.len() as i32 / density.columns as i32);
        // It fails only when the context is lost, and then the browser says so by an event.
        let _ = gl.tex_image_2d_with_i32_and_i32_and_i32_and_format_and_type_and_opt_u8_array(
            Gl::TEXTURE_2D,
            0,
            Gl::R8 as i32,
            columns,
            rows,
            0,
            Gl::RED,
            Gl::UNSIGNED_BYTE,
            Some(&density.levels),
        );
    }

    pub(super) fn paint(&self, look: &Look) {
        let Some(extent) = &self.extent else { return };
        self.gl.bind_texture(Gl::TEXTURE_2D, Some(&self.levels));
        self.program.bind().set("u_extent", extent);
        self.program.set_vec3s("u_ramp", &palette::DENSITY);
        set_look(&self.program, look);
        self.gl.draw_arrays(Gl::TRIANGLE_STRIP, 0, 4);
    }
}
