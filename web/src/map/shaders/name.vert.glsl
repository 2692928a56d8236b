layout(location = 0) in vec2 a_at;    // position from the top left (px)
layout(location = 1) in vec2 a_along; // direction: cosine, sine
layout(location = 2) in vec2 a_half;  // half size (px)
layout(location = 3) in vec4 a_atlas;
layout(location = 4) in vec3 a_color;

out vec2 v_atlas;
flat out vec3 v_color;

void main() {
    vec2 corner = vec2(gl_VertexID & 1, (gl_VertexID >> 1) & 1);
    vec2 offset = (corner * 2.0 - 1.0) * a_half;
    vec2 px = a_at + a_along * offset.x + vec2(-a_along.y, a_along.x) * offset.y;
    v_atlas = mix(a_atlas.xy, a_atlas.zw, corner);
    v_color = a_color;
    gl_Position = clip_from_px(px - u_viewport * 0.5, 0.0);
}
