/* Attention within rows, forward and backward: tiles of scores that never leave the cache.

   Queries lie along the lanes of the vectors, so that the softmax needs no sum across lanes, and keys along the rows of
   a tile, so that no key has to be filled up. Every product is one micro-kernel: rows of single numbers times vectors.

   Sources: Dao 2023, FlashAttention-2, algorithms 1 and 2; scores here are in units of log 2. */

#include "vectors.h"

#include <stdlib.h>

/* Rows of a tile of two vectors: as many as the registers hold. */
#if LANES == 16 || defined(__aarch64__)
#define TILE 12
#else
#define TILE 6
#endif
/* Scores of a block: 24 KiB. Half or twice as many of either made no difference beyond 2 %. */
#define QUERIES 64
#define KEYS 96

/* The second where one is NaN: a score that is none shows in the sum. */
INLINE vec larger(vec a, vec b) {
#ifdef __clang__
    return choose(a > b, a, b);
#else /* so GCC finds the instruction for it */
    vec made;
    for (int i = 0; i < LANES; i++) made[i] = a[i] > b[i] ? a[i] : b[i];
    return made;
#endif
}

/* c (rows, vecs * LANES) = a (rows, depth) @ b (depth, vecs * LANES), or added to what is there. */
INLINE void tile(const int rows, const int vecs, const float *a, const int64_t a_row, const int64_t a_step,
                 const float *b, const int64_t b_row, float *c, const int64_t c_row, const int64_t depth,
                 const int add) {
    vec sum[TILE][2];
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < vecs; j++) sum[i][j] = (vec){0};
    for (int64_t k = 0; k < depth; k++) {
        vec right[2];
        UNROLL for (int j = 0; j < vecs; j++) right[j] = load(b + k * b_row + j * LANES);
        UNROLL for (int i = 0; i < rows; i++) {
            vec left = every(a[i * a_row + k * a_step]);
            UNROLL for (int j = 0; j < vecs; j++) sum[i][j] += left * right[j];
        }
    }
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < vecs; j++) {
        float *at = c + i * c_row + j * LANES;
        store(at, add ? load(at) + sum[i][j] : sum[i][j]);
    }
}

INLINE void panel(const int vecs, int64_t rows, const float *a, const int64_t a_row, const int64_t a_step,
                  const float *b, const int64_t b_row, float *c, const int64_t c_row, const int64_t depth,
                  const int add) {
#define STEP(n) tile(n, vecs, a, a_row, a_step, b, b_row, c, c_row, depth, add)
    for (; rows >= TILE; rows -= TILE, a += TILE * a_row, c += TILE * c_row) STEP(TILE);
    switch (rows) { /* in one tile again: two small ones would each wait for their own sums */
#if TILE > 6
    case 11: STEP(11); break;
    case 10: STEP(10); break;
    case 9: STEP(9); break;
    case 8: STEP(8); break;
    case 7: STEP(7); break;
    case 6: STEP(6); break;
#endif
    case 5: STEP(5); break;
    case 4: STEP(4); break;
    case 3: STEP(3); break;
    case 2: STEP(2); break;
    case 1: STEP(1); break;
    default: break;
    }
#undef STEP
}

INLINE void product(int64_t vecs, int64_t rows, const float *a, const int64_t a_row, const int64_t a_step,
                    const float *b, const int64_t b_row, float *c, const int64_t c_row, const int64_t depth,
                    const int add) {
    for (; vecs >= 2; vecs -= 2, b += 2 * LANES, c += 2 * LANES)
        panel(2, rows, a, a_row, a_step, b, b_row, c, c_row, depth, add);
    if (vecs) panel(1, rows, a, a_row, a_step, b, b_row, c, c_row, depth, add);
}

/* (keys, queries) = (keys, width) @ (width, queries) */
static __attribute__((noinline)) void scores(int64_t vecs, int64_t keys, const float *a, int64_t a_row, const float *b,
                                             float *c, int64_t width) {
    product(vecs, keys, a, a_row, 1, b, QUERIES, c, QUERIES, width, 0);
}

/* (keys, features) += (keys, queries) @ (queries, features) */
static __attribute__((noinline)) void by_keys(int64_t features, int64_t keys, const float *a, const float *b, float *c,
                                              int64_t queries) {
    product(features / LANES, keys, a, QUERIES, 1, b, features, c, features, queries, 1);
}

/* (queries, features) += (keys, queries)^T @ (keys, features) */
static __attribute__((noinline)) void by_queries(int64_t features, int64_t queries, const float *a, const float *b,
                                                 float *c, int64_t keys) {
    product(features / LANES, queries, a, 1, QUERIES, b, features, c, features, keys, 1);
}

typedef struct {
    int64_t heads, groups, key_width, value_width, causal, window;
    float scale;
} Shape;


/* The keys that some of the queries first .. last - 1 see. */
INLINE int64_t keys_begin(const Shape *s, int64_t first) { return s->window ? most(0, first - s->window + 1) : 0; }
INLINE int64_t keys_end(const Shape *s, int64_t last, int64_t keys) {
    return s->causal ? least(keys, last) : s->window ? least(keys, last - 1 + s->window) : keys;
}

/* (n, width) to (n, filled(width)), times a factor. */
INLINE void gather(const float *from, int64_t stride, int64_t n, int64_t width, float factor, float *to) {
    int64_t row = filled(width);
    for (int64_t i = 0; i < n; i++, from += stride, to += row) {
        for (int64_t d = 0; d < width; d++) to[d] = from[d] * factor;
        for (int64_t d = width; d < row; d++) to[d] = 0;
    }
}

/* (n, width) to (width, QUERIES), times a factor; 0 where the last vector is not full. */
INLINE void turned(const float *from, int64_t stride, int64_t n, int64_t width, float factor, float *to) {
    for (int64_t d = 0; d < width; d++) {
        for (int64_t i = 0; i < n; i++) to[d * QUERIES + i] = from[i * stride + d] * factor;
        for (int64_t i = n; i < filled(n); i++) to[d * QUERIES + i] = 0;
    }
}

/* -inf for keys that a query does not see. */
static void hide(const Shape *s, float *p, int64_t first, int64_t queries, int64_t key, int64_t keys) {
    const int64_t ahead = s->causal ? 1 : s->window ? s->window : INT32_MAX, behind = s->window ? s->window : INT32_MAX;
    if (key + keys - 1 - first < ahead && first + queries - 1 - key < behind) return;
    ivec lane;
    for (int i = 0; i < LANES; i++) lane[i] = i;
    for (int64_t c = 0; c < queries; c += LANES)
        for (int64_t j = 0; j < keys; j++) {
            float *at = p + j * QUERIES + c;
            ivec distance = (int32_t)(key + j - first - c) - lane;
            ivec hidden = (distance >= (int32_t)ahead) | (distance <= (int32_t)-behind);
            store(at, choose(hidden, every(-__builtin_inff()), load(at)));
        }
}

/* Scores to powers; the largest so far, the sum so far, and what everything before has to be multiplied by. */
INLINE void soften(const int vecs, float *p, int64_t keys, float *largest, float *total, float *factor) {
    vec top[2], base[2], sum[2];
    UNROLL for (int j = 0; j < vecs; j++) top[j] = load(largest + j * LANES), sum[j] = (vec){0};
    for (int64_t k = 0; k < keys; k++)
        UNROLL for (int j = 0; j < vecs; j++) top[j] = larger(load(p + k * QUERIES + j * LANES), top[j]);
    UNROLL for (int j = 0; j < vecs; j++) base[j] = choose(top[j] == -__builtin_inff(), (vec){0}, top[j]);
    for (int64_t k = 0; k < keys; k++)
        UNROLL for (int j = 0; j < vecs; j++) {
            float *at = p + k * QUERIES + j * LANES;
            vec share = vexp2(load(at) - base[j]);
            store(at, share);
            sum[j] += share;
        }
    UNROLL for (int j = 0; j < vecs; j++) {
        vec grown = vexp2(load(largest + j * LANES) - base[j]);
        store(factor + j * LANES, grown);
        store(total + j * LANES, load(total + j * LANES) * grown + sum[j]);
        store(largest + j * LANES, top[j]);
    }
}

/* Room for so many numbers, at the beginning of a cache line; *whole is what to free. */
static float *room(int64_t floats, void **whole) {
    *whole = malloc((size_t)floats * sizeof(float) + 64);
    return *whole ? (float *)(((uintptr_t)*whole + 63) & ~(uintptr_t)63) : NULL;
}

static void forward(const Shape *s, const float *q, const float *k, const float *v, float *out, float *stats,
                    int64_t sums, int64_t begin, int64_t end, int64_t keys, float *work) {
    const int64_t q_row = s->heads * s->key_width, k_row = s->groups * s->key_width, v_row = s->groups * s->value_width;
    const int64_t out_row = s->heads * s->value_width, kw = filled(s->key_width), vw = filled(s->value_width);
    const int64_t low = keys_begin(s, begin), high = keys_end(s, end, keys);
    float *kp = work, *vp = kp + keys * kw, *qt = vp + keys * vw, *p = qt + s->key_width * QUERIES,
          *o = p + KEYS * QUERIES;
    float largest[QUERIES], total[QUERIES], factor[QUERIES];
    if (low < high) {
        gather(k + low * k_row, k_row, high - low, s->key_width, 1, kp + low * kw);
        gather(v + low * v_row, v_row, high - low, s->value_width, 1, vp + low * vw);
    }
    for (int64_t i = begin; i < end; i += QUERIES) {
        const int64_t live = least(QUERIES, end - i), vecs = filled(live) / LANES;
        const int64_t last = keys_end(s, i + live, keys);
        turned(q + i * q_row, q_row, live, s->key_width, s->scale * 1.44269504088896341f, qt);
        memset(o, 0, (size_t)(live * vw) * 4);
        for (int64_t c = 0; c < QUERIES; c++) largest[c] = -__builtin_inff(), total[c] = 0;
        for (int64_t j = keys_begin(s, i); j < last; j += KEYS) {
            const int64_t some = least(KEYS, last - j);
            scores(vecs, some, kp + j * kw, kw, qt, p, s->key_width);
            hide(s, p, i, live, j, some);
            int64_t c = 0;
            for (; c + 2 <= vecs; c += 2)
                soften(2, p + c * LANES, some, largest + c * LANES, total + c * LANES, factor + c * LANES);
            if (c < vecs) soften(1, p + c * LANES, some, largest + c * LANES, total + c * LANES, factor + c * LANES);
            for (int64_t r = 0; r < live; r++)
                for (int64_t d = 0; d < vw; d += LANES) store(o + r * vw + d, load(o + r * vw + d) * factor[r]);
            by_queries(vw, live, p, vp + j * vw, o, some);
        }
        for (int64_t r = 0; r < live; r++) {
            const float share = total[r] == 0 ? 0 : 1 / total[r];
            for (int64_t d = 0; d < s->value_width; d++) out[(i + r) * out_row + d] = o[r * vw + d] * share;
            stats[i + r] = largest[r] == -__builtin_inff() ? 0 : largest[r];
            stats[i + r + sums] = share;
        }
    }
}

INLINE float across(vec x) {
    float at[LANES];
    store(at, x);
    UNROLL for (int half = LANES / 2; half; half /= 2) UNROLL for (int i = 0; i < half; i++) at[i] += at[i + half];
    return at[0];
}

/* Scores to shares, and the gradients of shares to those of scores. */
INLINE void resume(const int vecs, float *p, float *g, int64_t keys, const float *base, const float *share,
                   const float *delta) {
    vec low[2], part[2], mean[2];
    UNROLL for (int j = 0; j < vecs; j++)
        low[j] = load(base + j * LANES), part[j] = load(share + j * LANES), mean[j] = load(delta + j * LANES);
    for (int64_t k = 0; k < keys; k++)
        UNROLL for (int j = 0; j < vecs; j++) {
            float *at = p + k * QUERIES + j * LANES, *by = g + k * QUERIES + j * LANES;
            vec x = vexp2(load(at) - low[j]) * part[j];
            store(at, x);
            store(by, x * (load(by) - mean[j]));
        }
}

static void write(const float *from, int64_t n, int64_t width, float factor, float *to, int64_t stride) {
    int64_t row = filled(width);
    for (int64_t i = 0; i < n; i++, from += row, to += stride)
        for (int64_t d = 0; d < width; d++) to[d] = from[d] * factor;
}

/* Whole arrays, and work that threads share. */
typedef struct {
    const float *q, *k, *v;          /* (n, heads, key_width), (m, groups, key_width), (m, groups, value_width) */
    float *out, *stats;              /* (n, heads, value_width), (2, heads, n) */
    const float *by_out;
    float *by_q, *by_k, *by_v;       /* gradients, shaped as what they are by */
    const int64_t *splits, *value_splits;
    const int64_t *items;            /* forward (row, head, first query, last query), backward (row, group) */
    int64_t count, next, failed;     /* of the items; the first that nobody has taken */
    int64_t longest, n, heads, groups, key_width, value_width, causal, window; /* 0 for no window */
    double scale;
} Call;

static void backward(const Shape *s, const Call *g, int64_t first, int64_t queries, int64_t first_key,
                     int64_t keys, int64_t group, float *work) {
    const int64_t K = s->key_width, V = s->value_width, kw = filled(K), vw = filled(V), each = s->heads / s->groups;
    const int64_t q_row = s->heads * K, k_row = s->groups * K, v_row = s->groups * V, o_row = s->heads * V;
    float *kp = work, *vp = kp + keys * kw, *dk = vp + keys * vw, *dv = dk + keys * kw, *qt = dv + keys * vw,
          *gt = qt + K * QUERIES, *p = gt + V * QUERIES, *ds = p + KEYS * QUERIES, *qn = ds + KEYS * QUERIES,
          *gn = qn + QUERIES * kw, *dq = gn + QUERIES * vw;
    float base[QUERIES] = {0}, share[QUERIES] = {0}, delta[QUERIES] = {0};
    gather(g->k + first_key * k_row + group * K, k_row, keys, K, 1, kp);
    gather(g->v + first_key * v_row + group * V, v_row, keys, V, 1, vp);
    memset(dk, 0, (size_t)(keys * (kw + vw)) * 4);
    for (int64_t head = group * each; head < (group + 1) * each; head++)
        for (int64_t i = 0; i < queries; i += QUERIES) {
            const int64_t live = least(QUERIES, queries - i), vecs = filled(live) / LANES, at = first + i;
            const int64_t last = keys_end(s, i + live, keys);
            const float *own = g->q + at * q_row + head * K, *by = g->by_out + at * o_row + head * V,
                        *o = g->out + at * o_row + head * V;
            turned(own, q_row, live, K, s->scale * 1.44269504088896341f, qt);
            turned(by, o_row, live, V, 1, gt);
            gather(own, q_row, live, K, s->scale, qn);
            gather(by, o_row, live, V, 1, gn);
            for (int64_t r = 0; r < live; r++) {
                vec sum = {0};
                int64_t d = 0;
                for (; d + LANES <= V; d += LANES) sum += load(gn + r * vw + d) * load(o + r * o_row + d);
                delta[r] = across(sum);
                for (; d < V; d++) delta[r] += gn[r * vw + d] * o[r * o_row + d];
                base[r] = g->stats[head * g->n + at + r];
                share[r] = g->stats[(s->heads + head) * g->n + at + r];
            }
            memset(dq, 0, (size_t)(live * kw) * 4);
            for (int64_t j = keys_begin(s, i); j < last; j += KEYS) {
                const int64_t some = least(KEYS, last - j);
                scores(vecs, some, kp + j * kw, kw, qt, p, K);
                hide(s, p, i, live, j, some);
                scores(vecs, some, vp + j * vw, vw, gt, ds, V);
                int64_t c = 0;
                for (; c + 2 <= vecs; c += 2)
                    resume(2, p + c * LANES, ds + c * LANES, some, base + c * LANES, share + c * LANES,
                           delta + c * LANES);
                if (c < vecs)
                    resume(1, p + c * LANES, ds + c * LANES, some, base + c * LANES, share + c * LANES,
                           delta + c * LANES);
                by_keys(vw, some, p, gn, dv + j * vw, live);
                by_keys(kw, some, ds, qn, dk + j * kw, live);
                by_queries(kw, live, ds, kp + j * kw, dq, some);
            }
            write(dq, live, K, s->scale, g->by_q + at * q_row + head * K, q_row);
        }
    write(dk, keys, K, 1, g->by_k + first_key * k_row + group * K, k_row);
    write(dv, keys, V, 1, g->by_v + first_key * v_row + group * V, v_row);
}

static int64_t taken(Call *call) { return __atomic_fetch_add(&call->next, 1, __ATOMIC_RELAXED); }

static Shape shape_of(const Call *call) {
    return (Shape){call->heads,  call->groups, call->key_width,   call->value_width,
                   call->causal, call->window, (float)call->scale};
}

EXPORT int NAME(attention_forward)(Call *call) {
    const Shape s = shape_of(call);
    const int64_t kw = filled(s.key_width), vw = filled(s.value_width);
    void *whole;
    float *work = room(call->longest * (kw + vw) + QUERIES * (kw + KEYS + vw), &whole);
    if (!work) return (int)(call->failed = 1);
    for (int64_t at; (at = taken(call)) < call->count;) {
        const int64_t *item = call->items + 4 * at, row = item[0], head = item[1], group = head / (s.heads / s.groups);
        const int64_t first = call->splits[row], first_key = call->value_splits[row];
        forward(&s, call->q + (first * s.heads + head) * s.key_width,
                call->k + (first_key * s.groups + group) * s.key_width,
                call->v + (first_key * s.groups + group) * s.value_width,
                call->out + (first * s.heads + head) * s.value_width, call->stats + head * call->n + first,
                s.heads * call->n, item[2], item[3], call->value_splits[row + 1] - first_key, work);
    }
    free(whole);
    return 0;
}

EXPORT int NAME(attention_backward)(Call *call) {
    const Shape s = shape_of(call);
    const int64_t kw = filled(s.key_width), vw = filled(s.value_width);
    void *whole;
    float *work = room(call->longest * 2 * (kw + vw) + QUERIES * (3 * kw + 2 * vw + 2 * KEYS), &whole);
    if (!work) return (int)(call->failed = 1);
    for (int64_t at; (at = taken(call)) < call->count;) {
        const int64_t *item = call->items + 2 * at, row = item[0], first = call->splits[row];
        backward(&s, call, first, call->splits[row + 1] - first, call->value_splits[row],
                 call->value_splits[row + 1] - call->value_splits[row], item[1], work);
    }
    free(whole);
    return 0;
}
