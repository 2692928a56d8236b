//! What a ride adds to the map: the route, the way of the car that comes, and two pins. Pure.

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};
use rides_proto::{
    geo::{Bounds, LatLng},
    ids::CarNumber,
};

use super::{
    palette,
    scene::{Ground, Segment, line_segments},
};

/// What a ride shows on the map.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Overlay {
    /// A pin.
    pub pickup: Option<LatLng>,
    /// A pin.
    pub dropoff: Option<LatLng>,
    /// From pickup to drop-off; empty: none.
    pub route: Arc<Vec<LatLng>>,
    /// From the car to the pickup; empty: none.
    pub way_to_car: Arc<Vec<LatLng>>,
    /// The car that is drawn larger.
    pub followed: Option<CarNumber>,
}

/// Asks the map to move.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Move {
    /// A new number makes a new request, even for the same target.
    pub seq: u32,
    /// Where to.
    pub target: Target,
}

/// Where the map can be asked to go.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Target {
    /// Show all of a box.
    Fit(Bounds),
    /// Show a point, closely enough to see its street.
    To(LatLng),
    /// The whole map.
    Whole,
}

/// A pin on the GPU.
#[derive(Clone, Copy, PartialEq, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Pin {
    /// On the ground, where its tip is.
    pub at: [f32; 2],
    /// Its colour.
    pub color: [f32; 3],
    /// 0: a ring inside (pickup); 1: a square inside (drop-off).
    pub shape: f32,
}

/// The overlay on the GPU.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct OverlayShapes {
    /// From pickup to drop-off.
    pub route: Vec<Segment>,
    /// Metres of it.
    pub route_m: f32,
    /// From the car to the pickup.
    pub way_to_car: Vec<Segment>,
    /// The northern one first, so that the other is in front.
    pub pins: Vec<Pin>,
}

impl OverlayShapes {
    /// The shapes of `overlay`.
    pub fn of(overlay: &Overlay, ground: &Ground) -> Self {
        let line = |points: &[LatLng]| -> Vec<Segment> {
            let points: Vec<_> = points.iter().map(|p| ground.ground_from_lat_lng(*p)).collect();
            line_segments(&points, 0.0, 0.0).collect()
        };
        let pin = |at: Option<LatLng>, color, shape| {
            at.map(|at| Pin { at: ground.ground_from_lat_lng(at), color, shape })
        };
        let route = line(&overlay.route);
        let route_m =
            route.last().map_or(0.0, |s| s.along + (s.to[0] - s.from[0]).hypot(s.to[1] - s.from[1]));
        let pins = [pin(overlay.pickup, palette::PICKUP, 0.0), pin(overlay.dropoff, palette::DROPOFF, 1.0)];
        let mut pins: Vec<Pin> = pins.into_iter().flatten().collect();
        if let [a, b] = &mut pins[..]
            && a.at[1] > b.at[1]
        {
            std::mem::swap(a, b);
        }
        Self { route, route_m, way_to_car: line(&overlay.way_to_car), pins }
    }

    /// Whether anything in it moves by itself.
    pub fn is_alive(&self) -> bool {
        !(self.route.is_empty() && self.way_to_car.is_empty() && self.pins.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(lat: f64, lng: f64) -> LatLng {
        LatLng::new(lat, lng).expect("on Earth")
    }

    #[test]
    fn a_route_is_as_long_as_on_earth() {
        let line = vec![p(60.170, 24.940), p(60.172, 24.942), p(60.172, 24.945)];
        let city = Bounds::around([p(60.165, 24.935), p(60.179, 24.953)]).expect("two points");
        let overlay = Overlay { route: Arc::new(line.clone()), ..Overlay::default() };
        let shapes = OverlayShapes::of(&overlay, &Ground::of(city));
        let earth = rides_proto::geo::length_m(&line);
        assert_eq!(shapes.route.len(), 2);
        assert!((f64::from(shapes.route_m) - earth).abs() < earth * 0.005, "{} {earth}", shapes.route_m);
        assert!(shapes.is_alive());
        assert!(!OverlayShapes::default().is_alive());
    }

    #[test]
    fn the_southern_pin_is_in_front() {
        let city = Bounds::around([p(60.165, 24.935), p(60.179, 24.953)]).expect("two points");
        let overlay =
            Overlay { pickup: Some(p(60.168, 24.94)), dropoff: Some(p(60.175, 24.94)), ..Overlay::default() };
        let shapes = OverlayShapes::of(&overlay, &Ground::of(city));
        assert_eq!(shapes.pins.iter().map(|pin| pin.shape).collect::<Vec<_>>(), [1.0, 0.0]);
    }
}
