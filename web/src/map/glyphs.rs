//! The atlas of letters: each is drawn once by the browser's own text renderer, on a canvas that nobody sees.
//!
//! Letters are drawn when a name needs them. An atlas that is full is emptied, and has what is on the screen from then on.

use wasm_bindgen::JsCast;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement};

use super::labels::Glyph;
use crate::browser;

/// Size that letters are drawn at, CSS pixels; on the map they are at most this large.
const SIZE_PX: f64 = 12.0;
/// Room around a letter for its halo, CSS pixels.
const HALO_PX: f64 = 2.5;
/// Height of a line of the atlas as a share of the letters' size. Scripts stack marks above and below their letters.
const LINE: f64 = 1.9;
/// Side of the atlas, CSS pixels.
const SIDE_PX: f64 = 1024.0;
/// Largest side of an atlas, device pixels: four bytes for each pixel of its square.
const MAX_SIDE: f64 = 2048.0;
const FONT: &str = "Inter, 'Segoe UI', 'Helvetica Neue', 'DejaVu Sans', system-ui, sans-serif";

/// Letters, and words that are drawn as one.
pub struct Atlas {
    /// `None` before the first letter, and where the browser has no 2D canvas: then there are no names.
    page: Option<(HtmlCanvasElement, CanvasRenderingContext2d)>,
    /// In the order of their texts. `None`: there was no room.
    glyphs: Vec<(String, Option<Glyph>)>,
    dpr: f64,
    side: f64,
    /// The place of the next letter, device pixels.
    at: (f64, f64),
    is_full: bool,
    is_changed: bool,
}

impl Atlas {
    /// An empty one. `max_side`: of a texture, device pixels.
    pub fn new(dpr: f64, max_side: f64) -> Self {
        let side = (SIDE_PX * dpr.max(1.0)).min(MAX_SIDE).min(max_side);
        Self { page: None, glyphs: Vec::new(), dpr, side, at: (0.0, 0.0), is_full: false, is_changed: false }
    }

    /// A letter, or a word as one; drawn now if it was not yet. `None` when there is no room for it.
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

    /// The picture, if it changed since it was asked for last.
    pub fn changed(&mut self) -> Option<&HtmlCanvasElement> {
        let is_changed = std::mem::take(&mut self.is_changed);
        self.page.as_ref().map(|(canvas, _)| canvas).filter(|_| is_changed)
    }

    /// The copy of the picture on the device is lost.
    pub fn forget_upload(&mut self) {
        self.is_changed = true;
    }

    /// Makes room if a letter found none, and draws the digits of densities first. True when there is some now.
    pub fn make_room(&mut self) -> bool {
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
        // Red is the halo, green the letter.
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

/// An empty canvas, set up to draw letters.
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
