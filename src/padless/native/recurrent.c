/* LSTM, GRU and the plain recurrent layer on packed rows, forward and backward: one thread computes a group of rows.

   Rows come longest first. Those that are alive at a time step are computed together, and a row that has ended costs
   nothing. Nothing is put into another order: row r reads and writes step first[r] + ahead * t of the packed arrays.

   Work goes by chunks of SLOTS steps (a slot: one row at one time step), which stay in the cache: forward, the inputs of
   a chunk are multiplied with the kernel, then comes the recurrence; backward the recurrence, then the gradients by
   inputs and weights. What goes through memory is the input, the output and what the way back needs, each once. */

#include <stdlib.h>

#include "vectors.h"

typedef int64_t Int;

/* What Python hands over, for every kind of layer; letters: N steps, B rows, D features, u units, G gates. */
typedef struct {
    const float *x;           /* (N, D) */
    const float *kernel;      /* (D, G u) */
    const float *recurrent;   /* (u, G u) */
    const float *bias;        /* (G u), or NULL */
    const float *state_bias;  /* (G u), added to the state's share (GRU with reset after), or NULL */
    const float *h, *c;       /* (B, u) first states; c for LSTM alone */
    float *last_h, *last_c;   /* (B, u) last states */
    float *y;                 /* (N, u) outputs */
    float *kept;              /* (N, KEPT u) what the way back needs, or NULL where there is none */
    const float *by_y;        /* (N, u) gradient by the outputs, or NULL for zeros */
    const float *by_last_h, *by_last_c; /* (B, u) */
    float *by_h, *by_c;       /* (B, u) */
    float *by_x;              /* (N, D), or NULL where nobody asks */
    float *by_kernel, *by_recurrent, *by_bias, *by_state_bias; /* shares of these rows; of the last two, G u always */
    const Int *first, *length, *row; /* (rows) first step read, number of steps, number of the row */
    Int rows, units, features;
    Int ahead;                /* 1, or -1 to read backwards */
    Int y_wide, by_y_wide;    /* numbers from one step to the next */
    Int add;                  /* whether by_x is added to, or set */
} Layer;

enum { LSTM, GRU, GRU_BEFORE, SIMPLE }; /* GRU_BEFORE resets before the product with the recurrent kernel */

/* Gates; blocks of `units` numbers that the way back needs of a step; blocks of a slot. */
static const int GATES[] = {4, 3, 3, 1}, KEPT[] = {5, 4, 3, 0}, PARTS[] = {4, 4, 3, 1};

#define SLOTS 128 /* steps of a chunk */
#define MANY 64   /* rows at a time */

#if LANES == 8
#define BLOCK 3 /* rows of sums that registers hold: AVX2 has 16 */
#define EACH_HEIGHT(rows, call)                                                                                        \
    switch (rows) {                                                                                                    \
    case 1: call(1); break;                                                                                            \
    case 2: call(2); break;                                                                                            \
    default: call(3);                                                                                                  \
    }
#else
#define BLOCK 6
#define EACH_HEIGHT(rows, call)                                                                                        \
    switch (rows) {                                                                                                    \
    case 1: call(1); break;                                                                                            \
    case 2: call(2); break;                                                                                            \
    case 3: call(3); break;                                                                                            \
    case 4: call(4); break;                                                                                            \
    case 5: call(5); break;                                                                                            \
    default: call(6);                                                                                                  \
    }
#endif
#define EACH_WIDTH(width, call, rows)                                                                                  \
    switch (width) {                                                                                                   \
    case 1: call(rows, 1); break;                                                                                      \
    case 2: call(rows, 2); break;                                                                                      \
    default: call(rows, 4);                                                                                            \
    }

#define APART static __attribute__((noinline)) /* else constants of the gates take the registers of the sums */

/* ---- products */

/* Vectors of the panel that begins at a column: 4, 2 or 1. */
static int panel_width(Int columns, Int column) {
    Int left = (columns - column) / LANES;
    return left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

/* How many of the rows that are left come next, so that blocks are about equally high. */
static Int block_height(Int left) {
    Int blocks = (left + BLOCK - 1) / BLOCK;
    return (left + blocks - 1) / blocks;
}

/* out += a (rows, depth) times a panel (depth, width vectors), from `start` on, which may be `out`. */
INLINE void product_block(const int rows, const int width, float *out, Int out_wide, const float *start, Int start_wide,
                          const float *const *a, const float *panel, Int depth) {
    vec sums[BLOCK][4];
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int v = 0; v < width; v++) sums[r][v] = load(start + r * start_wide + v * LANES);
    }
    for (Int k = 0; k < depth; k++) {
        vec w[4];
        UNROLL for (int v = 0; v < width; v++) w[v] = load(panel + (k * width + v) * LANES);
        UNROLL for (int r = 0; r < rows; r++) {
            vec x = every(a[r][k]);
            UNROLL for (int v = 0; v < width; v++) sums[r][v] += x * w[v];
        }
    }
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int v = 0; v < width; v++) store(out + r * out_wide + v * LANES, sums[r][v]);
    }
}

/* out (rows, columns) = start + a (rows, depth) times the matrix (depth, columns) in panels. */
APART void product(float *out, Int out_wide, const float *start, Int start_wide, const float *const *a,
                   const float *panels, Int rows, Int depth, Int columns) {
    for (Int j = 0; j < columns;) {
        int width = panel_width(columns, j);
        for (Int i = 0, n; i < rows; i += n) {
            n = block_height(rows - i);
#define PRODUCT(r, w)                                                                                                  \
    product_block(r, w, out + i * out_wide + j, out_wide, start + i * start_wide + j, start_wide, a + i, panels, depth)
#define PRODUCTS(r) EACH_WIDTH(width, PRODUCT, r)
            EACH_HEIGHT(n, PRODUCTS)
        }
        panels += depth * width * LANES;
        j += width * LANES;
    }
}

/* out += a^T b for (slots, rows) and (slots, width vectors). */
INLINE void outer_block(const int rows, const int width, float *out, Int out_wide, const float *const *a, Int from,
                        const float *b, Int b_wide, Int slots) {
    vec sums[BLOCK][4];
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int v = 0; v < width; v++) sums[r][v] = load(out + r * out_wide + v * LANES);
    }
    for (Int s = 0; s < slots; s++) {
        const float *row = a[s] + from;
        vec w[4];
        UNROLL for (int v = 0; v < width; v++) w[v] = load(b + s * b_wide + v * LANES);
        UNROLL for (int r = 0; r < rows; r++) {
            vec x = every(row[r]);
            UNROLL for (int v = 0; v < width; v++) sums[r][v] += x * w[v];
        }
    }
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int v = 0; v < width; v++) store(out + r * out_wide + v * LANES, sums[r][v]);
    }
}

/* out (rows, columns) += a^T b for a (slots, rows), a pointer to each slot, and b (slots, columns). */
APART void outer(float *out, Int out_wide, const float *const *a, const float *b, Int b_wide, Int slots, Int rows,
                 Int columns) {
    for (Int j = 0; j < columns;) {
        int width = panel_width(columns, j);
        for (Int i = 0, n; i < rows; i += n) {
            n = block_height(rows - i);
#define OUTER(r, w) outer_block(r, w, out + i * out_wide + j, out_wide, a, i, b + j, b_wide, slots)
#define OUTERS(r) EACH_WIDTH(width, OUTER, r)
            EACH_HEIGHT(n, OUTERS)
        }
        j += width * LANES;
    }
}

/* The first n numbers, and zeros. */
INLINE vec load_some(const float *from, Int n) {
    if (n >= LANES) return load(from);
    vec x = {0};
    memcpy(&x, from, (size_t)n * 4);
    return x;
}

INLINE void store_some(float *to, vec x, Int n) {
    if (n >= LANES) {
        store(to, x);
    } else {
        memcpy(to, &x, (size_t)n * 4);
    }
}

/* ---- weights as panels: gates in the order in which they stand in a slot, each rounded up to whole vectors */

/* (depth, gates) of a kernel (depth, wide). Returns where the next panels go. */
static float *pack(float *to, const float *kernel, Int wide, Int depth, const int *order, int gates, Int units) {
    Int broad = filled(units), columns = gates * broad;
    for (Int j = 0; j < columns;) {
        int width = panel_width(columns, j);
        for (int v = 0; v < width; v++) {
            Int column = j + v * LANES, at = column % broad;
            const float *from = kernel + order[column / broad] * units + at;
            for (Int k = 0; k < depth; k++) store(to + (k * width + v) * LANES, load_some(from + k * wide, units - at));
        }
        to += depth * width * LANES;
        j += width * LANES;
    }
    return to;
}

/* Its transpose (gates, depth). */
static float *pack_transposed(float *to, const float *kernel, Int wide, Int depth, const int *order, int gates,
                              Int units) {
    Int broad = filled(units), columns = filled(depth);
    memset(to, 0, (size_t)(gates * broad * columns) * 4);
    for (Int j = 0; j < columns;) {
        Int n = panel_width(columns, j) * LANES, real = least(n, depth - j);
        for (int g = 0; g < gates; g++) {
            for (Int k = 0; k < units; k += LANES) { /* a square at a time stays in the cache */
                const float *from = kernel + j * wide + order[g] * units;
                for (Int c = 0; c < real; c++) {
                    for (Int i = k; i < least(k + LANES, units); i++) to[(g * broad + i) * n + c] = from[c * wide + i];
                }
            }
        }
        to += gates * broad * n;
        j += n;
    }
    return to;
}

/* The other way: (depth, gates) in a slot's order to a kernel's. */
static void unpack(float *kernel, Int wide, const float *from, Int depth, const int *order, int gates, Int units) {
    Int broad = filled(units);
    for (Int k = 0; k < depth; k++) {
        for (int g = 0; g < gates; g++) {
            memcpy(kernel + k * wide + order[g] * units, from + (k * gates + g) * broad, (size_t)units * 4);
        }
    }
}

/* tanh, and the sigmoid by it: to 2e-7, which is the rounding of a number near 1. */
static const int STRAIGHT[] = {0, 1, 2, 3};
static const int CANDIDATE_FIRST[] = {2, 0, 1}; /* a slot of the GRU: x_n, z, r, a_n */

/* ---- steps */

/* One slot: z holds the sums; h and c the last state, then the new one. kept may be NULL.

   LSTM (Hochreiter and Schmidhuber 1997), gates i, f, g, o: c' = f c + i g; h' = o tanh(c'). */
APART void lstm_step(const float *z, float *h, float *c, float *kept, Int units) {
    Int broad = filled(units);
    for (Int j = 0; j < units; j += LANES) {
        Int n = units - j;
        vec i = vsigmoid(load(z + j)), f = vsigmoid(load(z + broad + j));
        vec g = vtanh(load(z + 2 * broad + j)), o = vsigmoid(load(z + 3 * broad + j));
        vec now = f * load(c + j) + i * g;
        store(c + j, now);
        store(h + j, o * vtanh(now));
        if (kept) {
            store_some(kept + j, i, n);
            store_some(kept + units + j, f, n);
            store_some(kept + 2 * units + j, g, n);
            store_some(kept + 3 * units + j, o, n);
            store_some(kept + 4 * units + j, now, n);
        }
    }
}

/* GRU (Cho and others 2014) as in cuDNN: n = tanh(x_n + r a_n), a = h R + b; h' = z h + (1 - z) n. */
APART void gru_step(const float *z, float *h, float *kept, Int units) {
    Int broad = filled(units);
    for (Int j = 0; j < units; j += LANES) {
        Int n = units - j;
        vec keep = vsigmoid(load(z + broad + j)), reset = vsigmoid(load(z + 2 * broad + j)), a = load(z + 3 * broad + j);
        vec new = vtanh(load(z + j) + reset * a);
        store(h + j, new + keep * (load(h + j) - new));
        if (kept) {
            store_some(kept + j, new, n);
            store_some(kept + units + j, keep, n);
            store_some(kept + 2 * units + j, reset, n);
            store_some(kept + 3 * units + j, a, n);
        }
    }
}

/* GRU as first published: z, r = sigmoid(x + h R); n = tanh(x_n + (r h) R_n). First the gates and r h, ... */
APART void gru_before_gates(float *z, const float *h, float *held, Int units) {
    Int broad = filled(units);
    for (Int j = 0; j < units; j += LANES) {
        vec reset = vsigmoid(load(z + broad + j));
        store(z + j, vsigmoid(load(z + j)));
        store(z + broad + j, reset);
        store(held + j, reset * load(h + j));
    }
}

/* ... then the new state. */
APART void gru_before_step(const float *z, float *h, float *kept, Int units) {
    Int broad = filled(units);
    for (Int j = 0; j < units; j += LANES) {
        Int n = units - j;
        vec keep = load(z + j), new = vtanh(load(z + 2 * broad + j));
        store(h + j, new + keep * (load(h + j) - new));
        if (kept) {
            store_some(kept + j, keep, n);
            store_some(kept + units + j, load(z + broad + j), n);
            store_some(kept + 2 * units + j, new, n);
        }
    }
}

/* The plain layer (Elman 1990): h' = tanh(x + h R). */
APART void simple_step(const float *z, float *h, Int units) {
    for (Int j = 0; j < units; j += LANES) store(h + j, vtanh(load(z + j)));
}

/* Back through one slot: dh and dc hold the gradient by the new state, then that by the last one, but for what comes
   by way of the products with the recurrent kernel; z gets the gradient by the sums. by_y may be NULL. */
APART void lstm_back(float *z, float *dh, float *dc, const float *kept, const float *c, const float *by_y, Int units) {
    Int broad = filled(units);
    for (Int j = 0; j < units; j += LANES) {
        Int n = units - j;
        vec i = load_some(kept + j, n), f = load_some(kept + units + j, n);
        vec g = load_some(kept + 2 * units + j, n), o = load_some(kept + 3 * units + j, n);
        vec squashed = vtanh(load_some(kept + 4 * units + j, n)), by = load(dh + j);
        if (by_y) by += load_some(by_y + j, n);
        vec open = by * o, cell = load(dc + j) + open * (1.0f - squashed * squashed);
        store(z + j, cell * g * i * (1.0f - i));
        store(z + broad + j, cell * load_some(c + j, n) * f * (1.0f - f));
        store(z + 2 * broad + j, cell * i * (1.0f - g * g));
        store(z + 3 * broad + j, open * squashed * (1.0f - o));
        store(dc + j, cell * f);
        store(dh + j, every(0.0f));
    }
}

APART void gru_back(float *z, float *dh, const float *kept, const float *h, const float *by_y, Int units) {
    Int broad = filled(units);
    for (Int j = 0; j < units; j += LANES) {
        Int n = units - j;
        vec new = load_some(kept + j, n), keep = load_some(kept + units + j, n);
        vec reset = load_some(kept + 2 * units + j, n), a = load_some(kept + 3 * units + j, n), by = load(dh + j);
        if (by_y) by += load_some(by_y + j, n);
        vec by_new = by * (1.0f - keep) * (1.0f - new * new);
        store(z + j, by_new);
        store(z + broad + j, by * (load_some(h + j, n) - new) * keep * (1.0f - keep));
        store(z + 2 * broad + j, by_new * a * reset * (1.0f - reset));
        store(z + 3 * broad + j, by_new * reset);
        store(dh + j, by * keep);
    }
}

APART void gru_before_back(float *z, float *dh, float *held, const float *kept, const float *h, const float *by_y,
                           Int units) {
    Int broad = filled(units);
    for (Int j = 0; j < units; j += LANES) {
        Int n = units - j;
        vec keep = load_some(kept + j, n), reset = load_some(kept + units + j, n);
        vec new = load_some(kept + 2 * units + j, n), old = load_some(h + j, n), by = load(dh + j);
        if (by_y) by += load_some(by_y + j, n);
        store(z + j, by * (old - new) * keep * (1.0f - keep));
        store(z + 2 * broad + j, by * (1.0f - keep) * (1.0f - new * new));
        store(dh + j, by * keep);
        store(held + j, reset * old);
    }
}

/* ... and on, with the gradient by r h. */
APART void gru_before_back_gates(float *z, float *dh, const float *by_held, const float *kept, const float *h,
                                 Int units) {
    Int broad = filled(units);
    for (Int j = 0; j < units; j += LANES) {
        Int n = units - j;
        vec reset = load_some(kept + units + j, n), by = load(by_held + j);
        store(z + broad + j, by * load_some(h + j, n) * reset * (1.0f - reset));
        store(dh + j, load(dh + j) + by * reset);
    }
}

APART void simple_back(float *z, float *dh, const float *y, const float *by_y, Int units) {
    for (Int j = 0; j < units; j += LANES) {
        Int n = units - j;
        vec now = load_some(y + j, n), by = load(dh + j);
        if (by_y) by += load_some(by_y + j, n);
        store(z + j, by * (1.0f - now * now));
        store(dh + j, every(0.0f));
    }
}

/* ---- all steps */

/* What a call works in. */
typedef struct {
    void *block;
    float *end;
    float *by_inputs;    /* panels for products with the kernel, */
    float *by_states;    /* with the recurrent kernel, */
    float *by_held;      /* and with its part for r h (GRU_BEFORE) */
    float *z;            /* (SLOTS, parts) */
    float *h, *c;        /* (MANY) states, or gradients by them */
    float *held;         /* (SLOTS) r h */
    float *start;        /* one slot: biases; backward zeros */
    float *dx;           /* (SLOTS, D) */
    float *kernel, *recurrent, *bias; /* gradients */
    const float *inputs[SLOTS], *before[SLOTS], *sums[SLOTS], *helds[SLOTS];
    Int at[SLOTS];
} Memory;

static float *taken(Memory *m, Int floats) {
    float *from = m->end;
    m->end += filled(floats);
    return from;
}

/* Memory for the arrays that both ways need, and `more` floats. Returns 1 where there is none. */
static int reserve(Memory *m, const Layer *l, int gates, int parts, Int more) {
    Int broad = filled(l->units), deep = gates * broad;
    Int columns = filled(l->features), start = parts * broad > columns ? parts * broad : columns;
    Int floats = deep * (columns + broad) + SLOTS * parts * broad + start + (2 * MANY + SLOTS) * broad + more;
    m->block = malloc((size_t)floats * 4 + 64);
    if (!m->block) return 1;
    m->end = (float *)(((uintptr_t)m->block + 63) / 64 * 64);
    m->by_inputs = taken(m, deep * columns);
    m->by_states = taken(m, deep * broad);
    m->z = taken(m, SLOTS * parts * broad);
    m->start = taken(m, start);
    m->h = taken(m, MANY * broad);
    m->c = taken(m, MANY * broad);
    m->held = taken(m, SLOTS * broad);
    memset(m->start, 0, (size_t)start * 4);
    return 0;
}

/* Rows of (B, u), picked, into (rows, broad), and back. NULL gives zeros, and takes nothing. */
static void pick(float *to, const float *from, const Int *row, Int rows, Int units) {
    Int broad = filled(units);
    memset(to, 0, (size_t)(rows * broad) * 4);
    for (Int r = 0; from && r < rows; r++) memcpy(to + r * broad, from + row[r] * units, (size_t)units * 4);
}

static void put(float *to, const float *from, const Int *row, Int rows, Int units) {
    for (Int r = 0; to && r < rows; r++) {
        memcpy(to + row[r] * units, from + r * filled(units), (size_t)units * 4);
    }
}

/* All time steps of at most MANY rows, numbers `from` and on of the call. */
INLINE void forward_rows(const int kind, const Layer *l, Memory *m, Int from) {
    const Int units = l->units, broad = filled(units), wide = PARTS[kind] * broad;
    const Int *first = l->first + from, *length = l->length + from, *row = l->row + from;
    const Int rows = least(MANY, l->rows - from);
    pick(m->h, l->h, row, rows, units);
    pick(m->c, l->c, row, rows, units);
    for (Int r = 0; r < rows; r++) {
        m->before[r] = m->h + r * broad;
        m->helds[r] = m->held + r * broad;
    }
    Int live = rows, end = 0;
    for (Int t = 0;;) {
        Int slots = 0, alive = live;
        for (;; end++) {
            while (alive && length[alive - 1] <= end) alive--;
            if (!alive || slots + alive > SLOTS) break;
            for (Int r = 0; r < alive; r++, slots++) {
                m->at[slots] = first[r] + l->ahead * end;
                m->inputs[slots] = l->x + m->at[slots] * l->features;
            }
        }
        if (!slots) break;
        product(m->z, wide, m->start, 0, m->inputs, m->by_inputs, slots, l->features, GATES[kind] * broad);
        for (Int s = 0; kind == GRU && s < slots; s++) {
            memcpy(m->z + s * wide + 3 * broad, m->start + 3 * broad, (size_t)broad * 4);
        }
        for (Int s = 0; t < end; t++) {
            while (length[live - 1] <= t) live--;
            float *z = m->z + s * wide, *sums = kind == GRU ? z + broad : z;
            product(sums, wide, sums, wide, m->before, m->by_states, live, units, (kind == GRU_BEFORE ? 2 : GATES[kind]) * broad);
            if (kind == GRU_BEFORE) {
                for (Int r = 0; r < live; r++) {
                    gru_before_gates(z + r * wide, m->h + r * broad, m->held + r * broad, units);
                }
                product(z + 2 * broad, wide, z + 2 * broad, wide, m->helds, m->by_held, live, units, broad);
            }
            for (Int r = 0; r < live; r++, s++, z += wide) {
                float *h = m->h + r * broad, *kept = l->kept ? l->kept + m->at[s] * KEPT[kind] * units : NULL;
                if (kind == LSTM) lstm_step(z, h, m->c + r * broad, kept, units);
                if (kind == GRU) gru_step(z, h, kept, units);
                if (kind == GRU_BEFORE) gru_before_step(z, h, kept, units);
                if (kind == SIMPLE) simple_step(z, h, units);
                memcpy(l->y + m->at[s] * l->y_wide, h, (size_t)units * 4);
            }
        }
    }
    put(l->last_h, m->h, row, rows, units);
    put(l->last_c, m->c, row, rows, units);
}

/* Biases in a slot's order: of the input, and of the state for gates that both reach. */
static void place_biases(float *start, const Layer *l, int kind) {
    Int units = l->units, broad = filled(units);
    const int *order = kind == GRU ? CANDIDATE_FIRST : STRAIGHT;
    for (int g = 0; l->bias && g < GATES[kind]; g++) {
        memcpy(start + g * broad, l->bias + order[g] * units, (size_t)units * 4);
    }
    for (Int at = 0; l->state_bias && at < 3 * units; at++) {
        start[(1 + at / units) * broad + at % units] += l->state_bias[at];
    }
}

INLINE int forward(const int kind, const Layer *l) {
    const int gates = GATES[kind];
    const Int units = l->units, wide = gates * units;
    Memory m;
    if (reserve(&m, l, gates, PARTS[kind], 0)) return 1;
    place_biases(m.start, l, kind);
    pack(m.by_inputs, l->kernel, wide, l->features, kind == GRU ? CANDIDATE_FIRST : STRAIGHT, gates, units);
    m.by_held = pack(m.by_states, l->recurrent, wide, units, STRAIGHT, kind == GRU_BEFORE ? 2 : gates, units);
    if (kind == GRU_BEFORE) pack(m.by_held, l->recurrent, wide, units, STRAIGHT + 2, 1, units);
    for (Int from = 0; from < l->rows; from += MANY) forward_rows(kind, l, &m, from);
    free(m.block);
    return 0;
}

/* The gradients by inputs and weights that a chunk of slots brings. */
INLINE void flush(const int kind, const Layer *l, Memory *m, Int slots) {
    const Int units = l->units, broad = filled(units), wide = PARTS[kind] * broad, deep = GATES[kind] * broad;
    const Int features = l->features, columns = filled(features);
    outer(m->kernel, deep, m->inputs, m->z, wide, slots, features, deep);
    if (kind == GRU_BEFORE) {
        outer(m->recurrent, deep, m->before, m->z, wide, slots, units, 2 * broad);
        outer(m->recurrent + 2 * broad, deep, m->helds, m->z + 2 * broad, wide, slots, units, broad);
    } else {
        outer(m->recurrent, deep, m->before, m->z + (kind == GRU ? broad : 0), wide, slots, units, deep);
    }
    for (Int s = 0; s < slots; s++) {
        for (Int j = 0; j < wide; j += LANES) store(m->bias + j, load(m->bias + j) + load(m->z + s * wide + j));
    }
    if (!l->by_x) return;
    for (Int s = 0; s < slots; s++) m->sums[s] = m->z + s * wide;
    product(m->dx, columns, m->start, 0, m->sums, m->by_inputs, slots, deep, columns);
    for (Int s = 0; s < slots; s++) {
        float *to = l->by_x + m->at[s] * features;
        const float *from = m->dx + s * columns;
        if (l->add) {
            for (Int k = 0; k < features; k++) to[k] += from[k];
        } else {
            memcpy(to, from, (size_t)features * 4);
        }
    }
}

INLINE void backward_rows(const int kind, const Layer *l, Memory *m, Int from) {
    const Int units = l->units, broad = filled(units), wide = PARTS[kind] * broad, keep = KEPT[kind] * units;
    const Int *first = l->first + from, *length = l->length + from, *row = l->row + from;
    const Int rows = least(MANY, l->rows - from), ahead = l->ahead;
    pick(m->h, l->by_last_h, row, rows, units);
    pick(m->c, l->by_last_c, row, rows, units);
    Int live = 0, slots = 0;
    for (Int t = length[0] - 1; t >= 0; t--) {
        while (live < rows && length[live] > t) live++;
        if (slots + live > SLOTS) {
            flush(kind, l, m, slots);
            slots = 0;
        }
        for (Int r = 0, s = slots; r < live; r++, s++) {
            const Int step = first[r] + ahead * t;
            const float *by_y = l->by_y ? l->by_y + step * l->by_y_wide : NULL, *kept = l->kept + step * keep;
            const float *h = t ? l->y + (step - ahead) * l->y_wide : l->h + row[r] * units;
            float *z = m->z + s * wide, *dh = m->h + r * broad;
            m->at[s] = step;
            m->inputs[s] = l->x + step * l->features;
            m->before[s] = h;
            m->sums[s] = kind == GRU ? z + broad : z;
            m->helds[s] = m->held + s * broad;
            if (kind == LSTM) {
                const float *c = t ? kept - ahead * keep + 4 * units : l->c + row[r] * units;
                lstm_back(z, dh, m->c + r * broad, kept, c, by_y, units);
            }
            if (kind == GRU) gru_back(z, dh, kept, h, by_y, units);
            if (kind == GRU_BEFORE) gru_before_back(z, dh, m->held + s * broad, kept, h, by_y, units);
            if (kind == SIMPLE) simple_back(z, dh, l->y + step * l->y_wide, by_y, units);
            for (Int k = 0; t && k < keep; k += 16) __builtin_prefetch(kept - ahead * keep + k);
        }
        const float **sums = m->sums + slots;
        if (kind == GRU_BEFORE) {
            for (Int r = 0; r < live; r++) sums[r] += 2 * broad;
            product(m->c, broad, m->start, 0, sums, m->by_held, live, broad, broad);
            for (Int r = 0; r < live; r++) {
                const Int s = slots + r;
                float *z = m->z + s * wide;
                sums[r] = z;
                gru_before_back_gates(z, m->h + r * broad, m->c + r * broad, l->kept + m->at[s] * keep, m->before[s], units);
            }
        }
        const Int deep = (kind == GRU_BEFORE ? 2 : GATES[kind]) * broad;
        product(m->h, broad, m->h, broad, sums, m->by_states, live, deep, broad);
        slots += live;
    }
    flush(kind, l, m, slots);
    put(l->by_h, m->h, row, rows, units);
    put(l->by_c, m->c, row, rows, units);
}

INLINE int backward(const int kind, const Layer *l) {
    const int gates = GATES[kind], *order = kind == GRU ? CANDIDATE_FIRST : STRAIGHT;
    const Int units = l->units, wide = gates * units, broad = filled(units), deep = gates * broad;
    const Int features = l->features, sums = deep * (features + units) + PARTS[kind] * broad;
    Memory m;
    if (reserve(&m, l, gates, PARTS[kind], sums + SLOTS * filled(features))) return 1;
    m.dx = taken(&m, SLOTS * filled(features));
    m.kernel = taken(&m, deep * features);
    m.recurrent = taken(&m, deep * units);
    m.bias = taken(&m, PARTS[kind] * broad);
    memset(m.kernel, 0, (size_t)sums * 4);
    if (l->by_x) pack_transposed(m.by_inputs, l->kernel, wide, features, order, gates, units);
    m.by_held = pack_transposed(m.by_states, l->recurrent, wide, units, STRAIGHT, kind == GRU_BEFORE ? 2 : gates, units);
    if (kind == GRU_BEFORE) pack_transposed(m.by_held, l->recurrent, wide, units, STRAIGHT + 2, 1, units);
    for (Int from = 0; from < l->rows; from += MANY) backward_rows(kind, l, &m, from);
    unpack(l->by_kernel, wide, m.kernel, features, order, gates, units);
    unpack(l->by_recurrent, wide, m.recurrent, units, STRAIGHT, gates, units);
    unpack(l->by_bias, wide, m.bias, 1, order, gates, units);
    if (kind == GRU) unpack(l->by_state_bias, wide, m.bias + broad, 1, STRAIGHT, gates, units);
    free(m.block);
    return 0;
}

/* Groups of rows, of which each thread takes the next until none is left. */
typedef struct {
    const Layer *groups;
    Int count, next, failed;
} Call;

#define BOTH(kind, name)                                                                                               \
    EXPORT int NAME(name)(Call *call) {                                                                                \
        for (Int at; (at = __atomic_fetch_add(&call->next, 1, __ATOMIC_RELAXED)) < call->count;) {                     \
            if (forward(kind, call->groups + at)) call->failed = 1;                                                    \
        }                                                                                                              \
        return 0;                                                                                                      \
    }                                                                                                                  \
    EXPORT int NAME(name##_back)(Call *call) {                                                                         \
        for (Int at; (at = __atomic_fetch_add(&call->next, 1, __ATOMIC_RELAXED)) < call->count;) {                     \
            if (backward(kind, call->groups + at)) call->failed = 1;                                                   \
        }                                                                                                              \
        return 0;                                                                                                      \
    }

BOTH(LSTM, lstm)
BOTH(GRU, gru)
BOTH(GRU_BEFORE, gru_before)
BOTH(SIMPLE, simple_rnn)
