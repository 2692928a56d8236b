//! The overlay of a ride on the map: the route, the car's route to the pickup, and two pins. Pure.

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

/// The parts of a ride to show on the map.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Overlay {
    /// The pin of the pickup.
    pub pickup: Option<LatLng>,
    /// The pin of the drop-off.
    pub dropoff: Option<LatLng>,
    /// The route from pickup to drop-off; may be empty.
    pub route: Arc<Vec<LatLng>>,
    /// The route from the car to the pickup; may be empty.
    pub way_to_car: Arc<Vec<LatLng>>,
    /// The car to highlight.
    pub followed: Option<CarNumber>,
}

/// A requested movement of the camera.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Move {
    /// The sequence number. A new number is a new request, even for the same target.
    pub seq: u32,
    /// The target.
    pub target: Target,
}

/// The target of a movement.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Target {
    /// Show the whole box.
    Fit(Bounds),
    /// Show a point, close enough to see its street.
    To(LatLng),
    /// Show the whole map.
    Whole,
}

/// A pin on the GPU.
#[derive(Clone, Copy, PartialEq, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Pin {
    /// The position of its tip on the ground.
    pub at: [f32; 2],
    /// The colour.
    pub color: [f32; 3],
    /// The shape inside: 0 is a ring (pickup), 1 is a square (drop-off).
    pub shape: f32,
}

/// The overlay on the GPU.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct OverlayShapes {
    /// The route from pickup to drop-off.
    pub route: Vec<Segment>,
    /// The length of the route in metres.
    pub route_m: f32,
    /// The route from the car to the pickup.
    pub way_to_car: Vec<Segment>,
    /// The pins, the northern one first, so that the southern one is painted over it.
    pub pins: Vec<Pin>,
}

impl OverlayShapes {
    /// Returns the shapes of `overlay`.
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

    /// Returns `true` if any shape is animated.
    pub fn is_animated(&self) -> bool {
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
        assert!(shapes.is_animated());
        assert!(!OverlayShapes::default().is_animated());
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
