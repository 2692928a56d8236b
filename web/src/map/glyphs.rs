//! The atlas of glyphs. The browser's text renderer draws each glyph once, on a canvas that is not on the page.
//!
//! A glyph is drawn when a name needs it first. When the atlas is full, it is cleared and refilled with the
//! glyphs on the screen.

use wasm_bindgen::JsCast;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement};

use super::labels::Glyph;
use crate::browser;

/// The size at which glyphs are drawn, in CSS pixels. They are never larger on the map.
const SIZE_PX: f64 = 12.0;
/// The space around a glyph for its halo, in CSS pixels.
const HALO_PX: f64 = 2.5;
/// The height of a line in the atlas, as a multiple of the glyphs' size. Some scripts stack marks above and
/// below their letters.
const LINE: f64 = 1.9;
/// The side of the atlas, in CSS pixels.
const SIDE_PX: f64 = 1024.0;
/// The largest side of the atlas, in device pixels. Each pixel takes four bytes.
const MAX_SIDE: f64 = 2048.0;
const FONT: &str = "Inter, 'Segoe UI', 'Helvetica Neue', 'DejaVu Sans', system-ui, sans-serif";

/// The atlas: letters, and words that are drawn as one glyph.
pub struct Atlas {
    /// `None` before the first glyph, or if the browser has no 2D canvas. Then the map has no names.
    page: Option<(HtmlCanvasElement, CanvasRenderingContext2d)>,
    /// The glyphs, sorted by text. `None`: there was no room.
    glyphs: Vec<(String, Option<Glyph>)>,
    dpr: f64,
    side: f64,
    /// The position of the next glyph, in device pixels.
    at: (f64, f64),
    is_full: bool,
    is_changed: bool,
}

impl Atlas {
    /// Creates an empty atlas. `max_side` is the largest side of a texture, in device pixels.
    pub fn new(dpr: f64, max_side: f64) -> Self {
        let side = (SIDE_PX * dpr.max(1.0)).min(MAX_SIDE).min(max_side);
        Self { page: None, glyphs: Vec::new(), dpr, side, at: (0.0, 0.0), is_full: false, is_changed: false }
    }

    /// Returns the glyph of a letter or of a whole word, and draws it if needed. Returns `None` if there is no room.
    pub fn find(&mut self, text: &str) -> Option<Glyph> {
        match self.glyphs.binary_search_by(|(known, _)| known.as_str().cmp(text)) {
            Ok(at) => self.glyphs[at].1,
            Err(at) => {
                let drawn = self.draw(text);
                self.glyphs.insert(at, (text.to_owned(), drawn));
                drawn
            }
        }
    }

    /// Returns the canvas if it has changed since the last call.
    pub fn changed(&mut self) -> Option<&HtmlCanvasElement> {
        let is_changed = std::mem::take(&mut self.is_changed);
        self.page.as_ref().map(|(canvas, _)| canvas).filter(|_| is_changed)
    }

    /// Marks the canvas as changed, because the copy on the GPU is lost.
    pub fn forget_upload(&mut self) {
        self.is_changed = true;
    }

    /// Clears the atlas if a glyph found no room, and draws the digits of densities first. Returns `true` if it
    /// was cleared.
    pub fn clear_if_full(&mut self) -> bool {
        let was_full = std::mem::take(&mut self.is_full);
        if was_full {
            self.glyphs.clear();
            self.at = (0.0, 0.0);
            if let Some((_, context)) = &self.page {
                context.clear_rect(0.0, 0.0, self.side, self.side);
            }
            for digit in ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"] {
                self.find(digit);
            }
        }
        was_full
    }

    fn draw(&mut self, text: &str) -> Option<Glyph> {
        if self.page.is_none() {
            self.page = page(self.side, self.dpr);
        }
        let (_, context) = self.page.as_ref()?;
        let advance = context.measure_text(text).ok()?.width();
        let (em, halo) = (SIZE_PX * self.dpr, HALO_PX * self.dpr);
        let (width, height) = ((advance + 2.0 * halo).ceil(), (em * LINE + 2.0 * halo).ceil());
        if width > self.side {
            return None;
        }
        if self.at.0 + width > self.side {
            self.at = (0.0, self.at.1 + height);
        }
        let (x, y) = self.at;
        if y + height > self.side {
            self.is_full = true;
            return None;
        }
        self.at.0 += width;
        self.is_changed = true;
        // The red channel is the halo, and the green channel is the glyph.
        let (left, middle) = (x + halo, y + height / 2.0);
        context.set_stroke_style_str("#f00");
        context.stroke_text(text, left, middle).ok()?;
        context.set_fill_style_str("#0f0");
        context.fill_text(text, left, middle).ok()?;
        Some(Glyph {
            advance: (advance / em) as f32,
            half: [(width / em / 2.0) as f32, (height / em / 2.0) as f32],
            atlas: [x, y, x + width, y + height].map(|px| (px / self.side) as f32),
        })
    }
}

/// Creates an empty canvas with the font and the line style for glyphs.
fn page(side: f64, dpr: f64) -> Option<(HtmlCanvasElement, CanvasRenderingContext2d)> {
    let canvas: HtmlCanvasElement = browser::document().create_element("canvas").ok()?.unchecked_into();
    canvas.set_width(side as u32);
    canvas.set_height(side as u32);
    let context: CanvasRenderingContext2d = canvas.get_context("2d").ok()??.unchecked_into();
    let tenths = (SIZE_PX * dpr * 10.0).round() as u32;
    context.set_font(&format!("500 {}.{}px {FONT}", tenths / 10, tenths % 10));
    context.set_text_baseline("middle");
    context.set_line_join("round");
    context.set_line_width(HALO_PX * 1.7 * dpr);
    context.set_global_composite_operation("lighter").ok()?;
    Some((canvas, context))
}
