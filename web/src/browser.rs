//! The one shared door to the browser: clocks, frames, timers, visibility.
