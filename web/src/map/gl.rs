//! Thin wrappers for WebGL2: programs, geometry, offscreen canvases and textures.

use bytemuck::Pod;
use wasm_bindgen::JsValue;
use web_sys::{
    WebGl2RenderingContext as Gl, WebGlBuffer, WebGlFramebuffer, WebGlProgram, WebGlRenderbuffer,
    WebGlShader, WebGlTexture, WebGlUniformLocation, WebGlVertexArrayObject,
};

/// A constant of the extension `WEBGL_debug_renderer_info`.
const UNMASKED_RENDERER_WEBGL: u32 = 0x9246;

/// Includes a shader of `shaders/`, as processed by `build.rs`.
macro_rules! shader {
    ($name:literal) => {
        include_str!(concat!(env!("OUT_DIR"), "/", $name, ".glsl"))
    };
}
pub(super) use shader;

/// The reason why the map cannot be painted.
#[derive(Debug, thiserror::Error)]
pub enum GlError {
    /// The browser has no WebGL2.
    #[error("this browser has no WebGL2")]
    Unsupported,
    /// The context is lost, or the driver reports an error.
    #[error("the graphics driver refused: {0}")]
    Refused(String),
}

impl From<JsValue> for GlError {
    fn from(error: JsValue) -> Self {
        Self::Refused(format!("{error:?}"))
    }
}

fn or_lost<T>(made: Option<T>) -> Result<T, GlError> {
    made.ok_or_else(|| GlError::Refused("the context is lost".into()))
}

/// A linked program and the locations of its uniforms.
pub(super) struct Program {
    gl: Gl,
    program: WebGlProgram,
    uniforms: Vec<(String, WebGlUniformLocation)>,
}

impl Program {
    pub(super) fn new(gl: &Gl, vertex: &str, fragment: &str) -> Result<Self, GlError> {
        let program = or_lost(gl.create_program())?;
        let shaders = [compile(gl, Gl::VERTEX_SHADER, vertex)?, compile(gl, Gl::FRAGMENT_SHADER, fragment)?];
        shaders.iter().for_each(|shader| gl.attach_shader(&program, shader));
        gl.link_program(&program);
        // Each query waits for the driver, so the shaders are not queried one by one: a failed compilation
        // fails the link.
        if !gl.get_program_parameter(&program, Gl::LINK_STATUS).is_truthy() {
            let logs = shaders.iter().map(|shader| gl.get_shader_info_log(shader));
            let logs: String = logs.chain([gl.get_program_info_log(&program)]).flatten().collect();
            return Err(GlError::Refused(logs));
        }
        let count = gl.get_program_parameter(&program, Gl::ACTIVE_UNIFORMS).as_f64().unwrap_or(0.0);
        let uniforms = (0..count as u32)
            .filter_map(|i| {
                let name = gl.get_active_uniform(&program, i)?.name();
                let at = gl.get_uniform_location(&program, &name)?;
                // The name of an array is listed as "name[0]".
                Some((name.strip_suffix("[0]").unwrap_or(&name).to_owned(), at))
            })
            .collect();
        Ok(Self { gl: gl.clone(), program, uniforms })
    }

    pub(super) fn bind(&self) -> &Self {
        self.gl.use_program(Some(&self.program));
        self
    }

    /// Sets a uniform of the bound program. The number of floats, 1 to 4, gives its type. A uniform that the
    /// program does not use is skipped.
    pub(super) fn set(&self, name: &str, value: &[f32]) -> &Self {
        let at = self.at(name);
        match *value {
            [x] => self.gl.uniform1f(at, x),
            [x, y] => self.gl.uniform2f(at, x, y),
            [x, y, z] => self.gl.uniform3f(at, x, y, z),
            [x, y, z, w] => self.gl.uniform4f(at, x, y, z, w),
            _ => debug_assert!(false, "{name} has {} floats", value.len()),
        }
        self
    }

    pub(super) fn set_vec4s(&self, name: &str, values: &[[f32; 4]]) -> &Self {
        self.gl.uniform4fv_with_f32_array(self.at(name), values.as_flattened());
        self
    }

    pub(super) fn set_vec3s(&self, name: &str, values: &[[f32; 3]]) -> &Self {
        self.gl.uniform3fv_with_f32_array(self.at(name), values.as_flattened());
        self
    }

    pub(super) fn set_vec2s(&self, name: &str, values: &[[f32; 2]]) -> &Self {
        self.gl.uniform2fv_with_f32_array(self.at(name), values.as_flattened());
        self
    }

    fn at(&self, name: &str) -> Option<&WebGlUniformLocation> {
        self.uniforms.iter().find(|(known, _)| known == name).map(|(_, at)| at)
    }
}

fn compile(gl: &Gl, kind: u32, body: &str) -> Result<WebGlShader, GlError> {
    let shader = or_lost(gl.create_shader(kind))?;
    gl.shader_source(&shader, &format!("{}{body}", shader!("view")));
    gl.compile_shader(&shader);
    Ok(shader)
}

/// The two triangles of a quad whose corners are numbered row by row.
const QUAD: [u32; 6] = [0, 1, 2, 2, 1, 3];

/// Indexed triangles on the GPU, deleted when dropped.
///
/// There are no instanced draws: drivers are slow with instances of four vertices, and software renderers are
/// far too slow. Instead, a quad repeats its data at each corner, and the shader distinguishes the corners by
/// `gl_VertexID & 3`.
pub(super) struct Geometry {
    gl: Gl,
    array: WebGlVertexArrayObject,
    data: WebGlBuffer,
    indices: WebGlBuffer,
    count: i32,
    /// The number of quads for which `indices` is long enough.
    quads: usize,
}

impl Geometry {
    /// Returns an empty geometry. `floats` has the number of floats of each attribute, in the order of the locations.
    pub(super) fn new(gl: &Gl, floats: &[i32]) -> Result<Self, GlError> {
        let (array, data) = (or_lost(gl.create_vertex_array())?, or_lost(gl.create_buffer())?);
        let indices = or_lost(gl.create_buffer())?;
        gl.bind_vertex_array(Some(&array));
        gl.bind_buffer(Gl::ARRAY_BUFFER, Some(&data));
        gl.bind_buffer(Gl::ELEMENT_ARRAY_BUFFER, Some(&indices));
        let stride = floats.iter().sum::<i32>() * 4;
        let mut offset = 0;
        for (location, size) in (0..).zip(floats) {
            gl.enable_vertex_attrib_array(location);
            gl.vertex_attrib_pointer_with_i32(location, *size, Gl::FLOAT, false, stride, offset);
            offset += size * 4;
        }
        gl.bind_vertex_array(None);
        Ok(Self { gl: gl.clone(), array, data, indices, count: 0, quads: 0 })
    }

    /// Replaces the contents with triangles.
    pub(super) fn upload_mesh<V: Pod>(&mut self, vertices: &[V], indices: &[u32]) {
        self.upload_vertices(bytemuck::cast_slice(vertices), Gl::STATIC_DRAW);
        self.upload_indices(indices);
        self.count = indices.len() as i32;
        self.quads = 0;
    }

    /// Replaces the contents with one quad per item.
    pub(super) fn upload_quads<V: Pod>(&mut self, items: &[V]) {
        self.upload_corners(bytemuck::cast_slice(items), items.len());
    }

    /// Uploads the bytes of each item four times, once for each corner of its quad.
    fn upload_corners(&mut self, items: &[u8], count: usize) {
        let size = (items.len() / count.max(1)).max(1);
        let mut corners = Vec::with_capacity(items.len() * 4);
        for item in items.chunks_exact(size) {
            for _ in 0..4 {
                corners.extend_from_slice(item);
            }
        }
        self.upload_vertices(&corners, Gl::DYNAMIC_DRAW);
        if self.quads < count {
            self.quads = count.next_power_of_two();
            let indices: Vec<u32> =
                (0..self.quads as u32).flat_map(|quad| QUAD.map(|corner| quad * 4 + corner)).collect();
            self.upload_indices(&indices);
        }
        self.count = (count * QUAD.len()) as i32;
    }

    /// Returns the number of quads.
    pub(super) fn len(&self) -> usize {
        self.count as usize / QUAD.len()
    }

    fn upload_vertices(&self, vertices: &[u8], usage: u32) {
        self.gl.bind_buffer(Gl::ARRAY_BUFFER, Some(&self.data));
        self.gl.buffer_data_with_u8_array(Gl::ARRAY_BUFFER, vertices, usage);
    }

    fn upload_indices(&self, indices: &[u32]) {
        // The index buffer binding belongs to the vertex array.
        self.gl.bind_vertex_array(Some(&self.array));
        let bytes = bytemuck::cast_slice(indices);
        self.gl.buffer_data_with_u8_array(Gl::ELEMENT_ARRAY_BUFFER, bytes, Gl::STATIC_DRAW);
        self.gl.bind_vertex_array(None);
    }

    pub(super) fn draw(&self) {
        if self.count == 0 {
            return;
        }
        self.gl.bind_vertex_array(Some(&self.array));
        self.gl.draw_elements_with_i32(Gl::TRIANGLES, self.count, Gl::UNSIGNED_INT, 0);
        self.gl.bind_vertex_array(None);
    }
}

impl Drop for Geometry {
    fn drop(&mut self) {
        self.gl.delete_vertex_array(Some(&self.array));
        self.gl.delete_buffer(Some(&self.data));
        self.gl.delete_buffer(Some(&self.indices));
    }
}

/// An offscreen canvas: antialiased while it is painted, then resolved to a plain texture that can be drawn
/// many times.
pub(super) struct RenderTarget {
    gl: Gl,
    size: (i32, i32),
    smooth: WebGlFramebuffer,
    color: WebGlRenderbuffer,
    depth: WebGlRenderbuffer,
    plain: WebGlFramebuffer,
    texture: WebGlTexture,
}

impl RenderTarget {
    /// Creates a canvas with at most `samples` samples of antialiasing; 0 switches it off.
    /// Fails if the device has no framebuffer of this size.
    pub(super) fn new(gl: &Gl, size: (i32, i32), samples: i32) -> Result<Self, GlError> {
        let most = gl.get_parameter(Gl::MAX_SAMPLES)?.as_f64().unwrap_or(0.0) as i32;
        let samples = samples.min(most);
        let renderbuffer = |format, attachment| -> Result<WebGlRenderbuffer, GlError> {
            let buffer = or_lost(gl.create_renderbuffer())?;
            gl.bind_renderbuffer(Gl::RENDERBUFFER, Some(&buffer));
            gl.renderbuffer_storage_multisample(Gl::RENDERBUFFER, samples, format, size.0, size.1);
            gl.framebuffer_renderbuffer(Gl::FRAMEBUFFER, attachment, Gl::RENDERBUFFER, Some(&buffer));
            Ok(buffer)
        };
        let smooth = or_lost(gl.create_framebuffer())?;
        gl.bind_framebuffer(Gl::FRAMEBUFFER, Some(&smooth));
        let color = renderbuffer(Gl::RGBA8, Gl::COLOR_ATTACHMENT0)?;
        let depth = renderbuffer(Gl::DEPTH24_STENCIL8, Gl::DEPTH_STENCIL_ATTACHMENT)?;

        let plain = or_lost(gl.create_framebuffer())?;
        let texture = new_texture(gl)?;
        gl.tex_storage_2d(Gl::TEXTURE_2D, 1, Gl::RGBA8, size.0, size.1);
        gl.bind_framebuffer(Gl::FRAMEBUFFER, Some(&plain));
        let texture_ref = Some(&texture);
        gl.framebuffer_texture_2d(Gl::FRAMEBUFFER, Gl::COLOR_ATTACHMENT0, Gl::TEXTURE_2D, texture_ref, 0);
        let status = gl.check_framebuffer_status(Gl::FRAMEBUFFER);
        gl.bind_framebuffer(Gl::FRAMEBUFFER, None);
        // The browser reports a lost context by an event.
        if status != Gl::FRAMEBUFFER_COMPLETE && !gl.is_context_lost() {
            return Err(GlError::Refused(format!("no picture of {} × {} pixels", size.0, size.1)));
        }
        Ok(Self { gl: gl.clone(), size, smooth, color, depth, plain, texture })
    }

    pub(super) fn size(&self) -> (i32, i32) {
        self.size
    }

    /// Redirects drawing to the canvas.
    pub(super) fn begin(&self) {
        self.gl.bind_framebuffer(Gl::FRAMEBUFFER, Some(&self.smooth));
    }

    /// Resolves the canvas to its texture, and redirects drawing back to the screen.
    pub(super) fn end(&self) {
        let (w, h) = self.size;
        self.gl.bind_framebuffer(Gl::READ_FRAMEBUFFER, Some(&self.smooth));
        self.gl.bind_framebuffer(Gl::DRAW_FRAMEBUFFER, Some(&self.plain));
        self.gl.blit_framebuffer(0, 0, w, h, 0, 0, w, h, Gl::COLOR_BUFFER_BIT, Gl::NEAREST);
        self.gl.bind_framebuffer(Gl::FRAMEBUFFER, None);
    }

    pub(super) fn texture(&self) -> &WebGlTexture {
        &self.texture
    }
}

impl Drop for RenderTarget {
    fn drop(&mut self) {
        self.gl.delete_framebuffer(Some(&self.smooth));
        self.gl.delete_framebuffer(Some(&self.plain));
        self.gl.delete_renderbuffer(Some(&self.color));
        self.gl.delete_renderbuffer(Some(&self.depth));
        self.gl.delete_texture(Some(&self.texture));
    }
}

/// Returns the largest side of a canvas that the device can paint, in pixels. A browser that hides the device
/// may return less.
pub(super) fn max_side(gl: &Gl) -> f64 {
    let limits = [Gl::MAX_TEXTURE_SIZE, Gl::MAX_RENDERBUFFER_SIZE];
    let limits = limits.map(|limit| gl.get_parameter(limit).ok().and_then(|limit| limit.as_f64()));
    limits.into_iter().flatten().fold(f64::INFINITY, f64::min)
}

/// Returns `true` if the browser renders without a GPU.
pub(super) fn is_software(gl: &Gl) -> bool {
    // A browser that hides the name of the renderer is assumed to have a GPU.
    let Ok(Some(_)) = gl.get_extension("WEBGL_debug_renderer_info") else { return false };
    let name = gl.get_parameter(UNMASKED_RENDERER_WEBGL).ok().and_then(|name| name.as_string());
    let name = name.unwrap_or_default().to_ascii_lowercase();
    ["swiftshader", "llvmpipe", "softpipe", "software"].iter().any(|known| name.contains(known))
}

/// Creates and binds a texture with linear filtering that clamps to its edges.
pub(super) fn new_texture(gl: &Gl) -> Result<WebGlTexture, GlError> {
    let texture = or_lost(gl.create_texture())?;
    gl.bind_texture(Gl::TEXTURE_2D, Some(&texture));
    for (parameter, value) in [
        (Gl::TEXTURE_MIN_FILTER, Gl::LINEAR),
        (Gl::TEXTURE_MAG_FILTER, Gl::LINEAR),
        (Gl::TEXTURE_WRAP_S, Gl::CLAMP_TO_EDGE),
        (Gl::TEXTURE_WRAP_T, Gl::CLAMP_TO_EDGE),
    ] {
        gl.tex_parameteri(Gl::TEXTURE_2D, parameter, value as i32);
    }
    Ok(texture)
}
