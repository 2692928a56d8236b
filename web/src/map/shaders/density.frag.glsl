in vec2 v_at;

uniform sampler2D u_levels; // one pixel a cell
uniform vec3 u_ramp[4];     // from few cars to many
out vec4 o_color;

// A cubic B-spline from four linear samples (Sigg and Hadwiger, "Fast Third-Order Texture Filtering", GPU Gems 2).
float smooth_level(vec2 cells) {
    vec2 at = v_at * cells - 0.5, first = floor(at), f = at - first, g = 1.0 - f;
    vec2 w0 = g * g * g / 6.0, w1 = 2.0 / 3.0 - f * f * (1.0 - 0.5 * f);
    vec2 w2 = 2.0 / 3.0 - g * g * (1.0 - 0.5 * g), w3 = f * f * f / 6.0;
    vec2 low = (first - 0.5 + w1 / (w0 + w1)) / cells, high = (first + 1.5 + w3 / (w2 + w3)) / cells;
    vec2 side = w2 + w3;
    float north = mix(texture(u_levels, low).r, texture(u_levels, vec2(high.x, low.y)).r, side.x);
    float south = mix(texture(u_levels, vec2(low.x, high.y)).r, texture(u_levels, high).r, side.x);
    return mix(north, south, side.y);
}

void main() {
    vec2 cells = vec2(textureSize(u_levels, 0));
    float level = smooth_level(cells), step3 = level * 3.0;
    vec3 color = mix(u_ramp[0], u_ramp[1], clamp(step3, 0.0, 1.0));
    color = mix(color, u_ramp[2], clamp(step3 - 1.0, 0.0, 1.0));
    color = mix(color, u_ramp[3], clamp(step3 - 2.0, 0.0, 1.0));
    // Thin lines of equal density, as on a map of heights.
    float band = level * 10.0, line = abs(fract(band - 0.5) - 0.5) / max(fwidth(band), 1e-4);
    float contour = (1.0 - smoothstep(0.4, 1.4, line)) * smoothstep(0.05, 0.1, level);
    float cover = 0.7 * smoothstep(0.0, 0.45, level);
    o_color = vec4(color * (cover + 0.22 * contour), cover);
}
