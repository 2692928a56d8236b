layout(location = 0) in vec2 a_at;

void main() {
    gl_Position = clip_from_px(px_from_ground(a_at, 0.0), 0.0);
}
