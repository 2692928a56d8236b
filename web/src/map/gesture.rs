//! Recognition of gestures: drag, pinch, throw, click and double click. Pure: the events carry the time.

use rides_proto::math::log2;
use web_sys::WheelEvent;

use super::camera::ScreenPos;
use crate::model::Millis;

/// The distance up to which a press is a click and not a drag, in pixels.
const SLOP_PX: f64 = 6.0;
/// The maximum time between the clicks of a double click, in milliseconds.
const DOUBLE_MS: f64 = 250.0;
/// The maximum distance between the clicks of a double click, in pixels.
const DOUBLE_PX: f64 = 24.0;
/// The last part of a drag that gives the velocity of a throw, in milliseconds.
const FLING_MS: f64 = 80.0;

/// The number of wheel pixels per zoom level.
const WHEEL_PX: f64 = 240.0;
/// The pixels per line, for browsers that report the wheel in lines.
const LINE_PX: f64 = 32.0;
/// The pixels per page, for browsers that report the wheel in pages.
const PAGE_PX: f64 = 800.0;
/// The pixels of a trackpad pinch per zoom level.
const PINCH_PX: f64 = 90.0;

/// Returns the zoom levels for a wheel that turned by `delta`, in the unit given by `mode`: pixels, lines or
/// pages. The result is between -1 and 1.
pub fn wheel_levels(delta: f64, mode: u32, is_pinch: bool) -> f64 {
    let unit = match mode {
        WheelEvent::DOM_DELTA_LINE => LINE_PX,
        WheelEvent::DOM_DELTA_PAGE => PAGE_PX,
        _ => 1.0,
    };
    let px_per_level = if is_pinch { PINCH_PX } else { WHEEL_PX };
    (-delta * unit / px_per_level).clamp(-1.0, 1.0)
}

/// The position of a pointer at one moment.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Pointer {
    /// The browser's pointer id.
    pub id: i32,
    /// The position.
    pub at: ScreenPos,
    /// The time.
    pub time: Millis,
    /// `true` for a mouse, and for the first finger on the screen.
    pub primary: bool,
}

/// The meaning of a gesture.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Intent {
    /// Drag the map by these pixels.
    Pan(ScreenPos),
    /// Drag by `pan`, then zoom by `levels` about `about`.
    Pinch {
        /// The distance in pixels.
        pan: ScreenPos,
        /// The point between the fingers.
        about: ScreenPos,
        /// Zoom levels.
        levels: f64,
    },
    /// The map was released while it moved; the velocity is in pixels per millisecond.
    Fling((f64, f64)),
    /// A single click.
    Click(ScreenPos),
    /// A double click.
    DoubleClick(ScreenPos),
}

/// The pressed pointers and the state of their gesture.
#[derive(Default, Debug)]
pub struct Gestures {
    /// At most two pointers.
    down: Vec<Pointer>,
    /// The position where the first pointer was pressed; `None` if the gesture cannot become a click any more.
    pressed: Option<ScreenPos>,
    /// A click that becomes a double click if another one follows in time.
    waiting: Option<Pointer>,
    /// The newest positions of a drag.
    trace: Vec<Pointer>,
    /// The zoom levels since the start of the pinch that Safari reports.
    pinched: f64,
}

impl Gestures {
    /// Handles a pressed pointer. Returns an earlier click if this press cannot be its double click.
    ///
    /// Browsers may lose a release. The press of a primary pointer ends all other pointers, and a second press
    /// of the same pointer ends the first one.
    pub fn down(&mut self, pointer: Pointer) -> Option<Intent> {
        self.down.retain(|p| !pointer.primary && p.id != pointer.id);
        if self.down.len() >= 2 {
            return None;
        }
        self.pressed = self.down.is_empty().then_some(pointer.at);
        self.down.push(pointer);
        self.trace.clear();
        let apart = |click: &mut Pointer| {
            distance(click.at, pointer.at) > DOUBLE_PX || pointer.time - click.time >= DOUBLE_MS
        };
        self.waiting.take_if(apart).map(|click| Intent::Click(click.at))
    }

    /// Handles a moved pointer. Pointers that are not pressed are ignored.
    pub fn moved(&mut self, pointer: Pointer) -> Option<Intent> {
        let index = self.down.iter().position(|p| p.id == pointer.id)?;
        if let Some(pressed) = self.pressed {
            if distance(pressed, pointer.at) < SLOP_PX {
                return None;
            }
            self.pressed = None;
        }
        let before = std::mem::replace(&mut self.down[index], pointer);
        match *self.down.as_slice() {
            [_] => {
                self.trace.retain(|p| pointer.time - p.time < FLING_MS);
                self.trace.push(pointer);
                Some(Intent::Pan(minus(pointer.at, before.at)))
            }
            [a, b] => {
                let other = if index == 0 { b } else { a };
                let about = middle(pointer.at, other.at);
                let pan = minus(about, middle(before.at, other.at));
                let spread = |p: Pointer| distance(p.at, other.at).max(10.0);
                Some(Intent::Pinch { pan, about, levels: log2(spread(pointer) / spread(before)) })
            }
            _ => None,
        }
    }

    /// Handles a released pointer.
    pub fn up(&mut self, pointer: Pointer) -> Option<Intent> {
        let index = self.down.iter().position(|p| p.id == pointer.id)?;
        self.down.remove(index);
        if !self.down.is_empty() {
            return None;
        }
        if self.pressed.take().is_none() {
            return self.fling(pointer.time);
        }
        if self.waiting.take().is_some() {
            return Some(Intent::DoubleClick(pointer.at));
        }
        self.waiting = Some(pointer);
        None
    }

    /// Forgets a pointer that the browser cancelled, or all of them. Browsers also report a lost capture after
    /// each release, which changes nothing.
    pub fn cancel(&mut self, id: Option<i32>) {
        let before = self.down.len();
        self.down.retain(|p| id.is_some_and(|id| p.id != id));
        if self.down.len() < before {
            self.pressed = None;
            self.trace.clear();
        }
    }

    /// Handles a pinch that Safari reports. `scale` is the distance of the fingers relative to the start of the
    /// pinch, and `None` at its start and its end.
    /// A pinch on a touch screen is ignored, because its pointers report it too.
    pub fn pinch(&mut self, about: ScreenPos, scale: Option<f64>) -> Option<Intent> {
        let pinched = scale.map_or(0.0, log2);
        let levels = pinched - std::mem::replace(&mut self.pinched, pinched);
        let is_new = scale.is_some() && self.down.is_empty();
        is_new.then_some(Intent::Pinch { pan: (0.0, 0.0), about, levels })
    }

    /// Returns a click that no second click has followed in time. Called in every frame.
    pub fn poll(&mut self, now: Millis) -> Option<Intent> {
        if !self.down.is_empty() {
            return None;
        }
        let click = self.waiting.take_if(|click| now - click.time >= DOUBLE_MS)?;
        Some(Intent::Click(click.at))
    }

    /// Returns `true` while the map is dragged.
    pub fn is_dragging(&self) -> bool {
        !self.down.is_empty() && self.pressed.is_none()
    }

    fn fling(&mut self, now: Millis) -> Option<Intent> {
        self.trace.retain(|p| now - p.time < FLING_MS);
        let (first, last) = (self.trace.first()?, self.trace.last()?);
        let (dx, dy) = minus(last.at, first.at);
        let dt = last.time - first.time;
        (dt > 0.0).then(|| Intent::Fling((dx / dt, dy / dt)))
    }
}

fn minus(a: ScreenPos, b: ScreenPos) -> ScreenPos {
    (a.0 - b.0, a.1 - b.1)
}

fn middle(a: ScreenPos, b: ScreenPos) -> ScreenPos {
    ((a.0 + b.0) / 2.0, (a.1 + b.1) / 2.0)
}

fn distance(a: ScreenPos, b: ScreenPos) -> f64 {
    (a.0 - b.0).hypot(a.1 - b.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(id: i32, x: f64, y: f64, time: f64) -> Pointer {
        Pointer { id, at: (x, y), time, primary: id == 1 }
    }

    #[test]
    fn a_click_is_told_from_a_double_click_by_waiting() {
        let mut g = Gestures::default();
        assert_eq!(g.down(p(1, 50.0, 50.0, 0.0)), None);
        assert_eq!(g.moved(p(1, 52.0, 51.0, 20.0)), None);
        assert_eq!(g.up(p(1, 52.0, 51.0, 60.0)), None);
        assert_eq!(g.poll(200.0), None);
        assert_eq!(g.poll(320.0), Some(Intent::Click((52.0, 51.0))));
        assert_eq!(g.poll(400.0), None);
    }

    #[test]
    fn a_second_click_nearby_zooms_and_one_far_away_does_not_wait() {
        let mut g = Gestures::default();
        g.down(p(1, 50.0, 50.0, 0.0));
        g.up(p(1, 50.0, 50.0, 50.0));
        assert_eq!(g.down(p(1, 55.0, 50.0, 150.0)), None);
        assert_eq!(g.poll(320.0), None, "the second press has not ended");
        assert_eq!(g.up(p(1, 55.0, 50.0, 330.0)), Some(Intent::DoubleClick((55.0, 50.0))));

        g.down(p(1, 50.0, 50.0, 1000.0));
        g.up(p(1, 50.0, 50.0, 1050.0));
        assert_eq!(g.down(p(1, 400.0, 50.0, 1100.0)), Some(Intent::Click((50.0, 50.0))));
        g.up(p(1, 400.0, 50.0, 1150.0));
        assert_eq!(g.poll(1500.0), Some(Intent::Click((400.0, 50.0))));
    }

    #[test]
    fn a_drag_pans_and_is_thrown() {
        let mut g = Gestures::default();
        g.down(p(1, 0.0, 0.0, 0.0));
        assert_eq!(g.moved(p(1, 10.0, 0.0, 10.0)), Some(Intent::Pan((10.0, 0.0))));
        assert!(g.is_dragging());
        assert_eq!(g.moved(p(1, 30.0, 5.0, 20.0)), Some(Intent::Pan((20.0, 5.0))));
        assert_eq!(g.up(p(1, 30.0, 5.0, 25.0)), Some(Intent::Fling((2.0, 0.5))));
        assert_eq!(g.poll(1000.0), None, "a drag is not a click");
    }

    #[test]
    fn a_drag_that_rested_before_the_release_is_not_thrown() {
        let mut g = Gestures::default();
        g.down(p(1, 0.0, 0.0, 0.0));
        g.moved(p(1, 10.0, 0.0, 10.0));
        g.moved(p(1, 60.0, 0.0, 20.0));
        assert_eq!(g.up(p(1, 60.0, 0.0, 500.0)), None);
    }

    #[test]
    fn two_fingers_apart_zoom_in_between_them() {
        let mut g = Gestures::default();
        g.down(p(1, 100.0, 100.0, 0.0));
        g.down(p(2, 200.0, 100.0, 5.0));
        let Some(Intent::Pinch { pan, about, levels }) = g.moved(p(2, 300.0, 100.0, 20.0)) else {
            panic!("not a pinch")
        };
        assert_eq!((pan, about), ((50.0, 0.0), (200.0, 100.0)));
        assert!((levels - 1.0).abs() < 1e-9);
        assert_eq!(g.up(p(2, 300.0, 100.0, 30.0)), None);
        assert_eq!(g.up(p(1, 100.0, 100.0, 40.0)), None);
        assert_eq!(g.poll(1000.0), None, "a pinch is not a click");
    }

    #[test]
    fn what_the_browser_takes_away_means_nothing() {
        let mut g = Gestures::default();
        g.down(p(1, 0.0, 0.0, 0.0));
        g.cancel(Some(1));
        assert_eq!(g.up(p(1, 0.0, 0.0, 10.0)), None);
        assert_eq!(g.moved(p(7, 5.0, 5.0, 10.0)), None);
        assert_eq!(g.poll(1000.0), None);
    }

    /// PAGE-4
    #[test]
    fn a_primary_touch_ends_touches_whose_release_was_lost() {
        let mut g = Gestures::default();
        g.down(p(1, 100.0, 100.0, 0.0));
        g.down(p(2, 200.0, 100.0, 5.0));
        g.down(p(1, 0.0, 0.0, 1000.0));
        assert_eq!(g.moved(p(1, 10.0, 0.0, 1010.0)), Some(Intent::Pan((10.0, 0.0))), "one finger drags");
        g.up(p(1, 10.0, 0.0, 2000.0));
        assert!(!g.is_dragging());
        g.down(p(1, 0.0, 0.0, 3000.0));
        g.up(p(1, 0.0, 0.0, 3010.0));
        assert_eq!(g.poll(4000.0), Some(Intent::Click((0.0, 0.0))));
    }

    /// PAGE-4
    #[test]
    fn a_pointer_that_goes_down_twice_was_up_between() {
        let mut g = Gestures::default();
        g.down(p(1, 0.0, 0.0, 0.0));
        g.down(p(7, 100.0, 0.0, 5.0));
        g.down(p(7, 200.0, 0.0, 900.0));
        let Some(Intent::Pinch { about, .. }) = g.moved(p(7, 220.0, 0.0, 910.0)) else { panic!("no pinch") };
        assert_eq!(about, (110.0, 0.0));
        g.cancel(Some(7));
        assert_eq!(
            g.moved(p(1, 10.0, 0.0, 920.0)),
            Some(Intent::Pan((10.0, 0.0))),
            "the first is still down"
        );
    }

    /// PAGE-4
    #[test]
    fn a_lost_capture_ends_a_drag_and_means_nothing_after_a_release() {
        let mut g = Gestures::default();
        g.down(p(1, 0.0, 0.0, 0.0));
        g.moved(p(1, 30.0, 0.0, 10.0));
        g.cancel(Some(1));
        assert!(!g.is_dragging());
        assert_eq!(g.moved(p(1, 90.0, 0.0, 20.0)), None);

        g.down(p(1, 0.0, 0.0, 1000.0));
        g.down(p(2, 100.0, 0.0, 1005.0));
        g.up(p(2, 100.0, 0.0, 1010.0));
        g.moved(p(1, 30.0, 0.0, 1020.0));
        g.moved(p(1, 60.0, 0.0, 1030.0));
        g.cancel(Some(2));
        assert_eq!(
            g.up(p(1, 60.0, 0.0, 1035.0)),
            Some(Intent::Fling((3.0, 0.0))),
            "the other pointer was released before"
        );
    }

    /// PAGE-4
    #[test]
    fn a_window_that_is_left_holds_no_pointer() {
        let mut g = Gestures::default();
        g.down(p(1, 0.0, 0.0, 0.0));
        g.down(p(2, 100.0, 0.0, 5.0));
        g.moved(p(2, 150.0, 0.0, 10.0));
        g.cancel(None);
        assert!(!g.is_dragging());
        assert_eq!(g.up(p(1, 0.0, 0.0, 20.0)), None);
        assert_eq!(g.poll(1000.0), None);
    }

    /// PAGE-4
    #[test]
    fn a_pinch_that_safari_tells_of_zooms_by_each_change_of_its_scale() {
        let mut g = Gestures::default();
        let zoom = |levels| Some(Intent::Pinch { pan: (0.0, 0.0), about: (9.0, 9.0), levels });
        let told = [None, Some(2.0), Some(4.0), Some(2.0), None, Some(2.0), None];
        let meant = told.map(|scale| g.pinch((9.0, 9.0), scale));
        assert_eq!(meant, [None, zoom(1.0), zoom(1.0), zoom(-1.0), None, zoom(1.0), None]);
        g.down(p(1, 0.0, 0.0, 0.0));
        assert_eq!(g.pinch((9.0, 9.0), Some(2.0)), None, "the pointers report the same pinch");
    }

    /// PAGE-4
    #[test]
    fn a_wheel_may_count_pixels_lines_or_pages() {
        let levels = |delta, mode| wheel_levels(delta, mode, false);
        assert_eq!(levels(-120.0, WheelEvent::DOM_DELTA_PIXEL), 0.5);
        assert_eq!(levels(-3.0, WheelEvent::DOM_DELTA_LINE), 0.4);
        assert_eq!(levels(1.0, WheelEvent::DOM_DELTA_PAGE), -1.0, "one event zooms by at most one level");
        assert_eq!(wheel_levels(-9.0, WheelEvent::DOM_DELTA_PIXEL, true), 0.1, "a pinch is finer");
    }
}
