// The darkness around the city: the map fades at its edge, and the corners of the screen are darker.
in vec2 v_at;

uniform vec4 u_extent; // ground positions of the north-western and south-eastern corners (m)
uniform vec3 u_beyond;
out vec4 o_color;

float noise(vec2 p) {
    return fract(52.9829189 * fract(dot(p, vec2(0.06711056, 0.00583715))));
}

void main() {
    vec2 px = (vec2(v_at.x, 1.0 - v_at.y) - 0.5) * u_viewport;
    vec2 at = px / u_px_per_m + u_center;
    vec2 middle = (u_extent.xy + u_extent.zw) * 0.5, half_size = (u_extent.zw - u_extent.xy) * 0.5;
    // The distance to a box with round corners. The fade is as wide as a city block.
    float fade = min(70.0, min(half_size.x, half_size.y) * 0.25);
    vec2 q = abs(at - middle) - half_size + fade;
    float outside = length(max(q, 0.0)) + min(max(q.x, q.y), 0.0);
    float fog = smoothstep(0.0, fade, outside);
    float vignette = smoothstep(0.35, 1.05, length(px / u_viewport)) * 0.5;
    // Noise hides the bands of dark gradients with eight bits per channel.
    float dither = (noise(gl_FragCoord.xy) - 0.5) / 128.0;
    // Beyond the edge is a grid of faint points, 100 m apart, which fades with the distance.
    vec2 cell = (fract(at / 100.0 + 0.5) - 0.5) * 100.0 * u_px_per_m;
    float point = (1.0 - smoothstep(0.5, 1.5, length(cell))) * fog * exp(-max(outside - fade, 0.0) / 350.0);
    float cover = clamp(fog + (1.0 - fog) * vignette + dither, 0.0, 1.0);
    o_color = vec4(u_beyond * cover + vec3(0.15, 0.21, 0.36) * point, cover);
}
