// CUDA's threads in plain C: what comes before the kernels when a C compiler, and no GPU, is to run them.
//
// The threads of a block take turns on one core. Without __syncthreads() a thread runs from beginning to end; with it
// each has a stack of its own, and a turn ends at the barrier. Every launch begins with the other end of the block than
// the one before, so that a barrier that is missing shows, whichever thread was meant to wait.

#include <stddef.h>
#include <tgmath.h>
#include <ucontext.h>

#define __global__
#define __device__
#define __shared__ static
#define __align__(n) __attribute__((aligned(n)))

typedef struct { unsigned x, y; } Place;
static Place threadIdx, blockIdx, blockDim, gridDim;

// Blocks run one after the other, so that a sum which many of them add to needs no more care than this.
static void __threadfence(void) {}
static unsigned atomicAdd(unsigned *place, unsigned more)
{
    unsigned before = *place;
    *place += more;
    return before;
}

enum { MOST = 256, STACK = 64 << 10 };
static char stacks[MOST][STACK];
static ucontext_t scheduler, turns[MOST];
static int done[MOST], current, taking_turns, backwards;
static void (*body)(void **);
static void **arguments;

static void __syncthreads(void)
{
    if (!taking_turns)
        __builtin_trap();  // a barrier in a kernel that is not known to have any
    swapcontext(&turns[current], &scheduler);
}

static void one_thread(void)
{
    body(arguments);
    done[current] = 1;
}

static void set_thread(int t)
{
    current = t;
    threadIdx.x = t % blockDim.x;
    threadIdx.y = t / blockDim.x;
}

static void block(int threads)
{
    for (int t = 0; t < threads; t++) {
        done[t] = 0;
        getcontext(&turns[t]);
        turns[t].uc_stack.ss_sp = stacks[t];
        turns[t].uc_stack.ss_size = STACK;
        turns[t].uc_link = &scheduler;
        if (taking_turns)
            makecontext(&turns[t], one_thread, 0);
    }
    for (int left = threads; left;)
        for (int i = 0; i < threads; i++) {
            set_thread(backwards ? threads - 1 - i : i);
            if (done[current])
                continue;
            if (taking_turns)
                swapcontext(&scheduler, &turns[current]);
            else
                one_thread();
            left -= done[current];
        }
}

void launch(void (*kernel)(void **), void **values, unsigned across, unsigned down, unsigned width, unsigned height,
            unsigned waits)
{
    taking_turns = waits;
    body = kernel;
    arguments = values;
    gridDim = (Place){across, down};
    blockDim = (Place){width, height};
    for (blockIdx.y = 0; blockIdx.y < down; blockIdx.y++)
        for (blockIdx.x = 0; blockIdx.x < across; blockIdx.x++)
            block(width * height);
    backwards = !backwards;
}
