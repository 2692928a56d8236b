layout(location = 0) in vec3 a_at;   // ground position, height (m)
layout(location = 1) in vec3 a_more; // light, along (m; negative: a roof), seed

// 1: project the building onto the ground, as its shadow.
uniform float u_shadow;

out vec3 v_more;
out float v_height;

void main() {
    v_more = a_more;
    v_height = a_at.z;
    vec2 at = a_at.xy + u_shadow * a_at.z * vec2(0.42, 0.34);
    float height = a_at.z * (1.0 - u_shadow);
    gl_Position = clip_from_px(px_from_ground(at, height), height);
}
