//! The colours of the map, and the widths of streets and rails. No other module of the map defines colours.

use rides_proto::math::log2;

use crate::model::{CarState, RailKind, StreetClass};

/// A colour in sRGB, without linearization; each channel is between 0 and 1.
pub type Rgb = [f32; 3];

const fn rgb(hex: u32) -> Rgb {
    [channel(hex >> 16), channel(hex >> 8), channel(hex)]
}

const fn channel(byte: u32) -> f32 {
    (byte & 0xff) as f32 / 255.0
}

/// Land.
pub const LAND: Rgb = rgb(0x0b1020);
/// The area beyond the edge of the map.
pub const BEYOND: Rgb = rgb(0x060914);
/// Seas and lakes.
pub const WATER: Rgb = rgb(0x0d2238);
/// The glow along the shore.
pub const SHORE: Rgb = rgb(0x1d4468);
/// Parks.
pub const PARK: Rgb = rgb(0x0f2620);
/// Squares.
pub const SQUARE: Rgb = rgb(0x121a30);
/// Roofs.
pub const ROOF: Rgb = rgb(0x171f38);
/// The edges of roofs.
pub const ROOF_EDGE: Rgb = rgb(0x27314f);
/// Lit windows.
pub const WINDOW: Rgb = rgb(0xffc774);
/// The casing around streets.
pub const CASING: Rgb = rgb(0x080c19);
/// Street names.
pub const STREET_NAME: Rgb = rgb(0x8d9ac4);
/// Names of parks.
pub const PARK_NAME: Rgb = rgb(0x5fa38c);
/// Names of waters.
pub const WATER_NAME: Rgb = rgb(0x5f93c4);
/// Names of squares.
pub const SQUARE_NAME: Rgb = rgb(0x8f93c4);
/// The halo behind names.
pub const HALO: Rgb = rgb(0x090d1b);
/// The route at the pickup, and the pin of the pickup.
pub const PICKUP: Rgb = rgb(0x5ef2c2);
/// The route at the drop-off, and the pin of the drop-off.
pub const DROPOFF: Rgb = rgb(0x8ab4ff);
/// The route of a car to the pickup.
pub const WAY_TO_CAR: Rgb = rgb(0xff9f5a);

/// The colours of densities, from few cars to many. They differ in brightness too, for colour-blind viewers.
/// `.legend-ramp` in board.css shows the same colours.
pub const DENSITY: [Rgb; 4] = [rgb(0x2f46a8), rgb(0x2a93c0), rgb(0x5ef2c2), rgb(0xffe08a)];
/// The number of cars in a cell.
pub const NUMBER: Rgb = rgb(0xf3f6ff);

/// Returns the colour of a car's light.
pub const fn car(state: CarState) -> Rgb {
    match state {
        CarState::Free => rgb(0x5ef2c2),
        CarState::Offered => rgb(0xffd166),
        CarState::ToPickup => rgb(0xff9f5a),
        CarState::AtPickup => rgb(0xff6b8b),
        CarState::OnTrip => rgb(0x7aa8ff),
        CarState::OffDuty => rgb(0x66708f),
    }
}

/// The stroke of a line.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Stroke {
    /// Colour.
    pub color: Rgb,
    /// Width on the ground, in metres.
    pub width_m: f32,
    /// Minimum width, in pixels.
    pub min_px: f32,
    /// The length of a dash, and of a dash with its gap, in pixels. Zeros mean solid.
    pub dash_px: [f32; 2],
}

impl Stroke {
    /// Returns the width in pixels at a scale.
    pub fn width_px(&self, px_per_m: f32) -> f32 {
        (self.width_m * px_per_m).max(self.min_px)
    }
}

const fn solid(color: Rgb, width_m: f32, min_px: f32) -> Stroke {
    Stroke { color, width_m, min_px, dash_px: [0.0, 0.0] }
}

/// Returns the stroke of a street.
pub const fn street(class: StreetClass) -> Stroke {
    match class {
        StreetClass::Motorway => solid(rgb(0x566092), 15.0, 3.2),
        StreetClass::Primary => solid(rgb(0x4a5680), 9.5, 2.6),
        StreetClass::Secondary => solid(rgb(0x414c74), 8.5, 2.2),
        StreetClass::Tertiary => solid(rgb(0x374265), 7.5, 1.8),
        StreetClass::Residential => solid(rgb(0x2c3656), 6.5, 1.3),
        StreetClass::Service => solid(rgb(0x222b46), 3.6, 0.7),
        StreetClass::Footway => solid(rgb(0x1d263f), 1.3, 0.5),
    }
}

/// Returns the stroke of a rail.
pub const fn rail(kind: RailKind) -> Stroke {
    match kind {
        RailKind::Train => solid(rgb(0x39456a), 0.7, 0.9),
        RailKind::Tram => solid(rgb(0x4d5a86), 0.35, 0.6),
        RailKind::Subway => Stroke { dash_px: [6.0, 10.0], ..solid(rgb(0x39456a), 0.7, 0.9) },
    }
}

/// Returns the stroke of the ties under a rail. A width of 0 means that there are none.
pub const fn ties(kind: RailKind) -> Stroke {
    match kind {
        RailKind::Train => Stroke { dash_px: [1.2, 6.0], ..solid(rgb(0x2c3656), 2.6, 3.0) },
        RailKind::Tram | RailKind::Subway => solid(LAND, 0.0, 0.0),
    }
}

/// Returns half of a car's drawn length in pixels: the real length if that is large enough to see.
pub fn car_half_px(px_per_m: f32) -> f32 {
    (6.6 + 1.7 * log2(f64::from(px_per_m)) as f32).clamp(4.2, 9.0).max(2.6 * px_per_m)
}
