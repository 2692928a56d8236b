//! The motion of the camera without input: flights, wheel easing, and the inertia after a drag.

use rides_proto::math::{exp, pow};

use super::camera::{Camera, ScreenPos, View};
use crate::model::Millis;

/// The duration of a flight, in milliseconds.
const FLIGHT_MS: f64 = 650.0;
/// The fraction of its speed that a throw loses per millisecond.
const FRICTION: f64 = 0.0045;
/// The speed below which a throw ends, in pixels per millisecond.
const FLING_STOP_SPEED: f64 = 0.02;
/// The fraction of the remaining distance that a zoom covers per millisecond.
const ZOOM_RATE: f64 = 0.014;

/// A motion of the camera that is under way.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub enum Motion {
    /// No motion.
    #[default]
    Rest,
    /// An eased motion to a view.
    Flight {
        /// The view at the start.
        from: View,
        /// The view at the end.
        to: View,
        /// The start time.
        started: Millis,
    },
    /// Inertia after a drag, with decreasing speed.
    Fling {
        /// The velocity in pixels per millisecond.
        velocity: (f64, f64),
        /// The time of the last step.
        at: Millis,
    },
    /// An eased zoom about a point that stays in place.
    Zoom {
        /// The point that stays in place.
        about: ScreenPos,
        /// The zoom at the end.
        zoom: f64,
        /// The time of the last step.
        at: Millis,
    },
}

impl Motion {
    /// Returns a flight from the camera's view to `to`.
    pub fn fly(camera: &Camera, to: View, now: Millis) -> Self {
        Self::Flight { from: camera.view(), to, started: now }
    }

    /// Returns a zoom by `levels`, which are added to the target of a running zoom.
    pub fn zoom_by(self, camera: &Camera, about: ScreenPos, levels: f64, now: Millis) -> Self {
        let from = match self {
            Self::Zoom { zoom, .. } => zoom,
            _ => camera.view().zoom,
        };
        Self::Zoom { about, zoom: from + levels, at: now }
    }

    /// Moves the camera to its state at `now`. Returns `true` unless the camera is at rest.
    pub fn advance(&mut self, camera: &mut Camera, now: Millis) -> bool {
        match *self {
            Self::Rest => return false,
            Self::Flight { from, to, started } => {
                let t = ((now - started) / FLIGHT_MS).clamp(0.0, 1.0);
                camera.set_view(between(from, to, ease_in_out(t)));
                if t >= 1.0 {
                    *self = Self::Rest;
                }
            }
            Self::Fling { velocity, at } => {
                let dt = (now - at).max(0.0);
                let kept = exp(-FRICTION * dt);
                // The distance is the integral of a speed that decays exponentially.
                let reach = (1.0 - kept) / FRICTION;
                camera.pan((velocity.0 * reach, velocity.1 * reach));
                let velocity = (velocity.0 * kept, velocity.1 * kept);
                let moving = velocity.0.hypot(velocity.1) > FLING_STOP_SPEED;
                *self = if moving { Self::Fling { velocity, at: now } } else { Self::Rest };
            }
            Self::Zoom { about, zoom, at } => {
                let left = (zoom - camera.view().zoom) * exp(-ZOOM_RATE * (now - at).max(0.0));
                camera.zoom_about(about, zoom - left);
                // The zoom also ends when the camera has reached its limit and no longer follows.
                let done = left.abs() < 0.003 || (camera.view().zoom - (zoom - left)).abs() > 1e-9;
                *self = if done { Self::Rest } else { Self::Zoom { about, zoom, at: now } };
            }
        }
        true
    }

    /// Moves the camera to the end at once, for people who prefer reduced motion.
    pub fn finish(&mut self, camera: &mut Camera) {
        match *self {
            Self::Rest | Self::Fling { .. } => {}
            Self::Flight { to, .. } => camera.set_view(to),
            Self::Zoom { about, zoom, .. } => camera.zoom_about(about, zoom),
        }
        *self = Self::Rest;
    }
}

/// Returns the view at the fraction `t` of a flight. The zoom changes evenly. The centre moves in proportion to
/// the scale, so that both look like one movement on the screen.
fn between(from: View, to: View, t: f64) -> View {
    let zoom = from.zoom + (to.zoom - from.zoom) * t;
    let (s0, s1, s) = (pow(2.0, -from.zoom), pow(2.0, -to.zoom), pow(2.0, -zoom));
    let share = if (s1 - s0).abs() < 1e-3 * s0 { t } else { (s - s0) / (s1 - s0) };
    let center = (
        from.center.0 + (to.center.0 - from.center.0) * share,
        from.center.1 + (to.center.1 - from.center.1) * share,
    );
    View { center, zoom }
}

fn ease_in_out(t: f64) -> f64 {
    if t < 0.5 { 4.0 * t.powi(3) } else { 1.0 - (2.0 - 2.0 * t).powi(3) / 2.0 }
}

#[cfg(test)]
mod tests {
    use rides_proto::geo::{Bounds, LatLng};

    use super::*;
    use crate::map::camera::Padding;

    fn camera() -> Camera {
        let corner = |lat, lng| LatLng::new(lat, lng).expect("on Earth");
        let city = Bounds::new(corner(60.15, 24.90), corner(60.19, 24.98)).expect("right way round");
        Camera::new(city, (1440.0, 900.0), Padding::default())
    }

    fn run(mut motion: Motion, camera: &mut Camera) -> usize {
        let frames = (1..1000).take_while(|i| motion.advance(camera, f64::from(*i) * 16.0)).count();
        assert_eq!(motion, Motion::Rest);
        frames
    }

    #[test]
    fn a_flight_ends_where_it_should() {
        let mut camera = camera();
        let start = camera.view();
        let to = View { center: (start.center.0 + 1e-5, start.center.1 - 1e-5), zoom: 17.0 };
        let frames = run(Motion::fly(&camera, to, 0.0), &mut camera);
        assert_eq!(camera.view(), to);
        assert!((38..45).contains(&frames), "{frames}");
    }

    #[test]
    fn a_throw_slows_down_whatever_the_frame_rate() {
        let reach = |step: f64| {
            let mut camera = camera();
            camera.zoom_about((720.0, 450.0), 18.0);
            let held = camera.world_from_screen((0.0, 0.0));
            let mut motion = Motion::Fling { velocity: (1.0, 0.0), at: 0.0 };
            let mut now = 0.0;
            while motion.advance(&mut camera, now) {
                now += step;
            }
            camera.screen_from_world(held).0
        };
        assert!((reach(16.0) - reach(7.0)).abs() < 5.0);
        assert!(reach(16.0) > 150.0);
    }

    #[test]
    fn zooms_add_up_and_stop_at_the_limit() {
        let mut camera = camera();
        let start = camera.view().zoom;
        let motion = Motion::Rest.zoom_by(&camera, (10.0, 10.0), 1.0, 0.0);
        let motion = motion.zoom_by(&camera, (10.0, 10.0), 0.5, 1.0);
        run(motion, &mut camera);
        assert!((camera.view().zoom - start - 1.5).abs() < 0.01);
        let motion = Motion::Rest.zoom_by(&camera, (10.0, 10.0), 40.0, 0.0);
        run(motion, &mut camera);
        assert_eq!(camera.view().zoom, 20.0);
    }
}
