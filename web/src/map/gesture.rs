//! From pointers to intentions: drag, pinch, throw, click, double click. Pure; time comes with the events.

use rides_proto::math::log2;

use super::camera::ScreenPos;
use crate::model::Millis;

/// A pointer that moved less than this, px, was a click and not a drag.
const SLOP_PX: f64 = 6.0;
/// A second click within this time, ms, makes a double click.
const DOUBLE_MS: f64 = 250.0;
/// … and within this distance, px.
const DOUBLE_PX: f64 = 24.0;
/// A throw is measured over the last so many ms of a drag.
const THROW_MS: f64 = 80.0;

/// One pointer's position at one moment.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Pointer {
    /// The browser's pointer id.
    pub id: i32,
    /// Where.
    pub at: ScreenPos,
    /// When.
    pub time: Millis,
}

/// What a person meant.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Intent {
    /// Drag the map by so many pixels.
    Pan(ScreenPos),
    /// Two fingers: drag by `pan`, then zoom by `levels` about `about`.
    Pinch {
        /// Pixels.
        pan: ScreenPos,
        /// Between the fingers.
        about: ScreenPos,
        /// Zoom levels.
        levels: f64,
    },
    /// Let go while moving; pixels per millisecond.
    Throw((f64, f64)),
    /// A click that no second one followed.
    Click(ScreenPos),
    /// A double click.
    DoubleClick(ScreenPos),
}

/// The pointers that are down, and what they have done so far.
#[derive(Default, Debug)]
pub struct Gestures {
    /// At most two count.
    down: Vec<Pointer>,
    /// Where the first went down; `None` once this cannot become a click any more.
    pressed: Option<ScreenPos>,
    /// A click that waits whether a second one follows.
    waiting: Option<Pointer>,
    /// The newest moves of a drag.
    trace: Vec<Pointer>,
}

impl Gestures {
    /// A pointer went down. A click elsewhere that was waiting is one now.
    pub fn down(&mut self, pointer: Pointer) -> Option<Intent> {
        if self.down.len() >= 2 || self.down.iter().any(|p| p.id == pointer.id) {
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

    /// A pointer moved. Pointers that are not down are ignored.
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
                self.trace.retain(|p| pointer.time - p.time < THROW_MS);
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

    /// A pointer went up.
    pub fn up(&mut self, pointer: Pointer) -> Option<Intent> {
        let index = self.down.iter().position(|p| p.id == pointer.id)?;
        self.down.remove(index);
        if !self.down.is_empty() {
            return None;
        }
        if self.pressed.take().is_none() {
            return self.throw(pointer.time);
        }
        if self.waiting.take().is_some() {
            return Some(Intent::DoubleClick(pointer.at));
        }
        self.waiting = Some(pointer);
        None
    }

    /// The browser took the pointer away: nothing was meant.
    pub fn cancel(&mut self, id: i32) {
        self.down.retain(|p| p.id != id);
        self.pressed = None;
        self.trace.clear();
    }

    /// Time passes: a waiting click becomes one. To be called every frame.
    pub fn poll(&mut self, now: Millis) -> Option<Intent> {
        if !self.down.is_empty() {
            return None;
        }
        let click = self.waiting.take_if(|click| now - click.time >= DOUBLE_MS)?;
        Some(Intent::Click(click.at))
    }

    /// Whether the map is held.
    pub fn is_dragging(&self) -> bool {
        !self.down.is_empty() && self.pressed.is_none()
    }

    fn throw(&mut self, now: Millis) -> Option<Intent> {
        self.trace.retain(|p| now - p.time < THROW_MS);
        let (first, last) = (self.trace.first()?, self.trace.last()?);
        let (dx, dy) = minus(last.at, first.at);
        let dt = last.time - first.time;
        (dt > 0.0).then(|| Intent::Throw((dx / dt, dy / dt)))
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
        Pointer { id, at: (x, y), time }
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
        assert_eq!(g.poll(320.0), None, "the second press is under way");
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
        assert_eq!(g.up(p(1, 30.0, 5.0, 25.0)), Some(Intent::Throw((2.0, 0.5))));
        assert_eq!(g.poll(1000.0), None, "a drag is no click");
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
        assert_eq!(g.poll(1000.0), None, "a pinch is no click");
    }

    #[test]
    fn what_the_browser_takes_away_means_nothing() {
        let mut g = Gestures::default();
        g.down(p(1, 0.0, 0.0, 0.0));
        g.cancel(1);
        assert_eq!(g.up(p(1, 0.0, 0.0, 10.0)), None);
        assert_eq!(g.moved(p(7, 5.0, 5.0, 10.0)), None);
        assert_eq!(g.poll(1000.0), None);
    }
}
