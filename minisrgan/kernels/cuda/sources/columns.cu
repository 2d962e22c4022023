// The columns of a convolution, gathered before its matrix product or scattered after it.
//
// x (N, H, W, C) are the images. A pixel p = (n, h, w) of (N, Ho, Wo) stands for the window over x that begins at
// row s*h - top and column s*w - left; a block holds the columns of the windows p = first .. first + pixels - 1.
// Addresses within x are 64 bits wide: the 64 feature maps of an 8K picture have more than 2^31 elements.
//
// A block of threads works on a part of a line, of windows or of the image, which blockIdx selects. Neighbouring
// threads take neighbouring numbers in memory. Divisions are computed only once per line: a GPU takes 20 instructions
// for a division, and computing the position of each element would take six of them.

typedef struct __align__(16) { Real at[16 / sizeof(Real)]; } Items;  // four float channels at once, or two doubles

#define ALONG(k, n) for (Index k = threadIdx.x; k < (n); k += blockDim.x)
#define PLACE (Index)(blockIdx.x * blockDim.y + threadIdx.y)  // along a line

// columns[p, i, j, c] = x[n, s*h + i - top, s*w + j - left, c], zero outside the image
// The numbers (j, c) of row i of a window are contiguous in x too, so one index k counts them.
#define IM2COL(name, Item)                                                                              \
    KERNEL name(Item *columns, const Item *x, Index pixels, Index first, Index H, Index W, Index C,     \
                Index kh, Index kw, Index Ho, Index Wo, Index s, Index top, Index left)                 \
    {                                                                                                   \
        const Item zero = {0};                                                                          \
        const Index w = PLACE, begin = (w * s - left) * C;                                              \
        for (Index line = first / Wo + blockIdx.y; line * Wo < first + pixels; line += gridDim.y) {     \
            const Index n = line / Ho, h = line - n * Ho, p = line * Wo + w - first;                    \
            if (0 <= p && p < pixels && w < Wo)                                                         \
                for (Index i = 0; i < kh; i++) {                                                        \
                    const Index u = h * s + i - top, end = 0 <= u && u < H ? W * C : 0;                 \
                    const Item *from = x + ((size_t)n * H + (end ? u : 0)) * W * C;                     \
                    Item *to = columns + ((size_t)p * kh + i) * kw * C;                                 \
                    ALONG(k, kw * C) to[k] = 0 <= begin + k && begin + k < end ? from[begin + k] : zero; \
                }                                                                                       \
        }                                                                                               \
    }
IM2COL(im2col, Real)
IM2COL(im2col_by_16_bytes, Items)  // C counts items

// x[n, u, v, c] += sum of columns[p, i, j, c] over every i, j and p with s*h + i - top = u and s*w + j - left = v
// One thread sums each element in a fixed order, without atomic additions, so the bits are the same each time.
// rows   number of rows of x that the windows reach, from first_row on; rows are numbered through all images
#define COL2IM(name, Item)                                                                              \
    KERNEL name(Item *x, const Item *columns, Index rows, Index first_row, Index pixels, Index first,   \
                Index H, Index W, Index C, Index kh, Index kw, Index Ho, Index Wo, Index s,             \
                Index top, Index left)                                                                  \
    {                                                                                                   \
        const Index v = PLACE, w0 = v + left < 0 ? -1 : (v + left) / s, j0 = v + left - w0 * s;         \
        for (Index line = blockIdx.y; line < rows && v < W; line += gridDim.y) {                        \
            const Index row = first_row + line, n = row / H, u = row - n * H;                           \
            const Index h0 = u + top < 0 ? -1 : (u + top) / s, i0 = u + top - h0 * s;                   \
            ALONG(c, C) {                                                                               \
                Item sum = x[((size_t)row * W + v) * C + c];                                            \
                Item more = {0};                                                                        \
                for (Index i = i0, h = h0; i < kh && h >= 0; i += s, h--)                               \
                    for (Index j = j0, w = w0; j < kw && w >= 0; j += s, w--) {                         \
                        const Index p = (n * Ho + h) * Wo + w - first;                                  \
                        if (h < Ho && w < Wo && 0 <= p && p < pixels)                                   \
                            ADD(more, columns[(((size_t)p * kh + i) * kw + j) * C + c]);                \
                    }                                                                                   \
                ADD(sum, more);                                                                         \
                x[((size_t)row * W + v) * C + c] = sum;                                                 \
            }                                                                                           \
        }                                                                                               \
    }
#define ADD(a, b) a += b
COL2IM(col2im, Real)
#undef ADD
#define ADD(a, b) do { const Items item = b; for (int q = 0; q < (int)(16 / sizeof(Real)); q++) a.at[q] += item.at[q]; } while (0)
COL2IM(col2im_by_16_bytes, Items)
