// Winograd's algorithm for 3x3 convolutions: the transforms before and after its 36 matrix products.
// kernels/winograd.py explains it. BT (6, 6), G (6, 3) and AT (4, 6) are its matrices, which launch.py writes before this.
//
// A tile of 4 x 4 results needs 6 x 6 pixels of x (N, H, W, C). Tiles are numbered through rows and images, `down` in a
// column and `across` in a row of an image; a block holds those from `first` on. A thread transforms one tile of one
// channel, in registers. Neighbouring threads take neighbouring channels, so they read and write neighbouring numbers.

// y (m, m) = L x L^T for a tile x (n, n). All loops are unrolled, so the compiler knows every factor. Products with 0 are
// left out here, since the compiler must not do it: 0 times infinity is not 0.
#define TRANSFORM(name, m, n, L)                                                                        \
    static __device__ void name(Real (*y)[m], Real (*x)[n])                                             \
    {                                                                                                   \
        Real half[m][n];                                                                                \
        UNROLL for (int i = 0; i < m; i++)                                                              \
            UNROLL for (int j = 0; j < n; j++) {                                                        \
                half[i][j] = 0;                                                                         \
                UNROLL for (int k = 0; k < n; k++)                                                      \
                    if (L(i, k) != 0) half[i][j] += L(i, k) * x[k][j];                                  \
            }                                                                                           \
        UNROLL for (int i = 0; i < m; i++)                                                              \
            UNROLL for (int j = 0; j < m; j++) {                                                        \
                y[i][j] = 0;                                                                            \
                UNROLL for (int k = 0; k < n; k++)                                                      \
                    if (L(j, k) != 0) y[i][j] += L(j, k) * half[i][k];                                  \
            }                                                                                           \
    }
#define PLAIN_BT(i, k) BT[i][k]
#define PLAIN_G(i, k) G[i][k]
#define PLAIN_AT(i, k) AT[i][k]
#define TURNED_G(i, k) G[k][i]
#define TURNED_AT(i, k) AT[k][i]
TRANSFORM(transform_input, 6, 6, PLAIN_BT)
TRANSFORM(transform_weight, 6, 3, PLAIN_G)
TRANSFORM(transform_products, 4, 6, PLAIN_AT)
TRANSFORM(transform_gradient, 6, 4, TURNED_AT)
TRANSFORM(transform_sums, 3, 6, TURNED_G)

// Read or write the numbers of a tile that are n numbers apart, from the k-th on.
#define READ(side, from, k, n) \
    { const Real *at = (from) + (k); UNROLL for (int q = 0; q < side * side; q++, at += (n)) tile[q / side][q % side] = *at; }
#define WRITE(side, to, k, n) \
    { Real *at = (to) + (k); UNROLL for (int q = 0; q < side * side; q++, at += (n)) *at = result[q / side][q % side]; }

// to[q, p, c] = transformed tile of x that begins at row 4*h - top and column 4*w - left; k counts (p, c) of the block
#define TILES(name, n, transform)                                                                       \
    static __device__ void name(Real *to, const Real *x, Index k, Index tiles, Index first, Index H,    \
                                Index W, Index C, Index down, Index across, Index top, Index left)      \
    {                                                                                                   \
        const Index c = k % C, p = first + k / C, line = p / across, image = line / down;               \
        const Index u = (line - image * down) * 4 - top, v = (p - line * across) * 4 - left;            \
        const Real *row = x + (((ptrdiff_t)image * H + u) * W + v) * C + c;                             \
        Real tile[n][n], result[6][6];                                                                  \
        UNROLL for (int i = 0; i < n; i++, row += (ptrdiff_t)W * C)                                     \
            UNROLL for (int j = 0; j < n; j++)                                                          \
                tile[i][j] = 0 <= u + i && u + i < H && 0 <= v + j && v + j < W ? row[j * C] : 0;       \
        transform(result, tile);                                                                        \
        WRITE(6, to, k, (size_t)tiles * C)                                                              \
    }
TILES(take_input, 6, transform_input)
TILES(take_gradient, 4, transform_gradient)

// v[q, p, c] from x, as above; and in the same launch u[q, c, o] = G w G^T of all pairs of channels: pairs is C*O, or 0
// w (3, 3, C, O), or if it is turned (3, 3, O, C), of which the kernels are turned by 180 degrees
KERNEL winograd_factors(Real *v, Real *u, const Real *x, const Real *w, Index tiles, Index first, Index H, Index W,
                        Index C, Index down, Index across, Index padding, Index O, Index pairs, Index turned)
{
    EACH(k, tiles * C + pairs) {
        const Index pair = k - tiles * C, from = turned ? pair % O * C + pair / O : pair;
        if (pair < 0) {
            take_input(v, x, k, tiles, first, H, W, C, down, across, padding, padding);
        } else {
            Real tile[3][3], result[6][6];
            READ(3, w + (turned ? (size_t)8 * pairs : 0), from, (turned ? -1 : 1) * (ptrdiff_t)pairs)
            transform_weight(result, tile);
            WRITE(6, u, pair, pairs)
        }
    }
}

// y = A^T m A, and the bias, if there is one; m[q, p, o], of n = tiles * O
KERNEL winograd_results(Real *y, const Real *m, const Real *bias, Index n, Index first, Index H, Index W, Index O,
                        Index down, Index across, Index biased)
{
    EACH(k, n) {
        const Index o = k % O, p = first + k / O, line = p / across, image = line / down;
        const Index u = (line - image * down) * 4, v = (p - line * across) * 4;
        const Real more = biased ? bias[o] : 0;
        Real *row = y + (((size_t)image * H + u) * W + v) * O + o;
        Real tile[6][6], result[4][4];
        READ(6, m, k, n)
        transform_products(result, tile);
        UNROLL for (int i = 0; i < 4; i++, row += (size_t)W * O)
            UNROLL for (int j = 0; j < 4; j++)
                if (u + i < H && v + j < W)
                    row[j * O] = result[i][j] + more;
    }
}

// For the gradient of the weight: v[q, p, c] from x, and m[q, p, o] = A g A^T from the 4 x 4 tiles of g (N, Ho, Wo, O)
KERNEL winograd_gradient_factors(Real *v, Real *m, const Real *x, const Real *g, Index tiles, Index first, Index H,
                                 Index W, Index C, Index down, Index across, Index padding, Index Ho, Index Wo, Index O)
{
    EACH(k, tiles * (C + O)) {
        if (k < tiles * C)
            take_input(v, x, k, tiles, first, H, W, C, down, across, padding, padding);
        else
            take_gradient(m, g, k - tiles * C, tiles, first, Ho, Wo, O, down, across, 0, 0);
    }
}

// w (3, 3, C, O) = G^T u G; u[q, c, o], of n = C * O
KERNEL winograd_weight_gradient(Real *w, const Real *u, Index n)
{
    EACH(k, n) {
        Real tile[6][6], result[3][3];
        READ(6, u, k, n)
        transform_sums(result, tile);
        WRITE(3, w, k, n)
    }
}
