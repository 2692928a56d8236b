in vec3 v_more;
in float v_height;

uniform vec3 u_roof;
uniform vec3 u_window;
uniform float u_windows; // visibility, 0 to 1; 0 at a distance
out vec4 o_color;

float hash(vec2 p) {
    vec3 q = fract(vec3(p.xyx) * 0.1031);
    q += dot(q, q.yzx + 33.33);
    return fract((q.x + q.y) * q.z);
}

void main() {
    float seed = v_more.z;
    if (v_more.y < 0.0) {
        o_color = vec4(u_roof * (0.94 + 0.12 * seed), 1.0);
        return;
    }
    vec3 color = u_roof * v_more.x * mix(0.7, 1.35, clamp(v_height / 25.0, 0.0, 1.0));
    // A window cell is 3 m wide and 3.3 m (a storey) high. One window in four is lit.
    vec2 grid = vec2(v_more.y / 3.0, v_height / 3.3);
    vec2 cell = floor(grid), inside = fract(grid);
    float pane = step(0.3, inside.x) * step(inside.x, 0.72) * step(0.3, inside.y) * step(inside.y, 0.75);
    float lit = step(0.76, hash(cell + seed * 91.7)) * (0.35 + 0.65 * hash(cell.yx + seed * 17.3));
    o_color = vec4(mix(color, u_window, pane * lit * u_windows), 1.0);
}
