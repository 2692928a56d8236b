in vec2 v_at;
flat in float v_length;
flat in float v_before;
flat in float v_half;
flat in vec3 v_color;
flat in vec2 v_dash;

uniform float u_alpha;
uniform float u_soft; // width over which the edge fades (px); 0: sharp edge

out vec4 o_color;

void main() {
    float end = max(max(-v_at.x, v_at.x - v_length), 0.0);
    float from_line = length(vec2(end, v_at.y));
    float edge = 0.5 / u_dpr;
    // A line thinner than a pixel is drawn one pixel wide and fainter.
    float half_width = max(v_half, edge);
    float cover = clamp((half_width - from_line) / (2.0 * edge) + 0.5, 0.0, 1.0) * min(v_half / edge, 1.0);
    if (u_soft > 0.0) cover = pow(clamp(1.0 - from_line / u_soft, 0.0, 1.0), 2.0);
    if (v_dash.y > 0.0) cover *= step(mod(v_before + v_at.x, v_dash.y), v_dash.x);
    if (cover <= 0.0) discard;
    o_color = vec4(v_color, 1.0) * cover * u_alpha;
}
