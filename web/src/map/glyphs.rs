//! The atlas of letters: each is drawn once by the browser's own text renderer, on a canvas that nobody sees.

use wasm_bindgen::JsCast;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement};

use super::{
    labels::{Glyph, Glyphs},
    names::Name,
};
use crate::browser;

/// Size that letters are drawn at, CSS pixels; on the map they are at most this large.
const SIZE_PX: f64 = 12.0;
/// Room around a letter for its halo, CSS pixels.
const HALO_PX: f64 = 2.5;
/// Widest atlas, device pixels: every WebGL2 device has textures of that size.
const MAX_SIDE: u32 = 2048;
const FONT: &str = "Inter, 'Segoe UI', 'Helvetica Neue', 'DejaVu Sans', system-ui, sans-serif";

/// Draws every digit, and every letter that `names` need. `None` when the browser has no 2D canvas; then there are no names.
pub fn draw(names: &[Name], dpr: f64) -> Option<(HtmlCanvasElement, Glyphs)> {
    let mut letters: Vec<char> = ('0'..='9').collect();
    for letter in names.iter().flat_map(|name| &name.text) {
        if !letters.contains(letter) {
            letters.push(*letter);
        }
    }
    let canvas: HtmlCanvasElement = browser::document().create_element("canvas").ok()?.unchecked_into();
    let context: CanvasRenderingContext2d = canvas.get_context("2d").ok()??.unchecked_into();
    let tenths = (SIZE_PX * dpr * 10.0).round() as u32;
    let font = format!("500 {}.{}px {FONT}", tenths / 10, tenths % 10);
    context.set_font(&font);

    let cell_h = ((SIZE_PX * 1.4 + 2.0 * HALO_PX) * dpr).ceil();
    let side = f64::from(MAX_SIDE).min(1024.0 * dpr.max(1.0));
    let mut boxes = Vec::with_capacity(letters.len());
    let (mut x, mut y) = (0.0, 0.0);
    for letter in letters {
        let advance = context.measure_text(letter.encode_utf8(&mut [0; 4])).ok()?.width();
        let width = (advance + 2.0 * HALO_PX * dpr).ceil();
        if x + width > side {
            (x, y) = (0.0, y + cell_h);
        }
        boxes.push((letter, advance, x, y, width));
        x += width;
    }
    let height = (y + cell_h).min(f64::from(MAX_SIDE));
    canvas.set_width(side as u32);
    canvas.set_height(height as u32);

    // A new size resets the context. Red is the halo, green the letter.
    context.set_font(&font);
    context.set_text_baseline("middle");
    context.set_line_join("round");
    context.set_line_width(HALO_PX * 1.7 * dpr);
    context.set_global_composite_operation("lighter").ok()?;
    let em = SIZE_PX * dpr;
    let mut glyphs = Glyphs::default();
    for (letter, advance, x, y, width) in boxes {
        let mut utf8 = [0; 4];
        let text: &str = letter.encode_utf8(&mut utf8);
        let (left, middle) = (x + HALO_PX * dpr, y + cell_h / 2.0);
        context.set_stroke_style_str("#f00");
        context.stroke_text(text, left, middle).ok()?;
        context.set_fill_style_str("#0f0");
        context.fill_text(text, left, middle).ok()?;
        glyphs.insert(
            letter,
            Glyph {
                advance: (advance / em) as f32,
                half: [(width / em / 2.0) as f32, (cell_h / em / 2.0) as f32],
                atlas: [x / side, y / height, (x + width) / side, (y + cell_h) / height].map(|v| v as f32),
            },
        );
    }
    Some((canvas, glyphs))
}
