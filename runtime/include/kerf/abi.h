/*
 * The binary interface between a compiled model library (libMODEL.so) and the Kerf runtime.
 *
 * A model library exports one constant `kerf_library`. It holds the kernels, compiled once for each CPU variant, and
 * for each program the list of dispatches that make a step. It holds no weights and no state and calls nothing: the
 * runtime resolves every operand to an address and runs the tasks of a dispatch on its threads.
 *
 * The structs below are laid out by the compiler as constant data. Tables state the size of their elements beside the
 * count, so that fields can be appended: a runtime steps by the stated size, which is at least that of the struct here,
 * and takes appended fields that a table does not have as zero. Reserved fields are zero. KERF_ABI_VERSION is raised
 * when a field changes its meaning.
 */
#ifndef KERF_ABI_H
#define KERF_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KERF_ABI_VERSION 2u

/* Every slot of the arena and every segment of a package starts at a multiple of this. */
#define KERF_ALIGNMENT 64u

/* The sizes of one step, by which buffers and task counts scale. */
typedef enum kerf_extent {
  KERF_EXTENT_ONE = 0,        /* 1 */
  KERF_EXTENT_TOKENS = 1,     /* T: rows of the step */
  KERF_EXTENT_SEQUENCES = 2,  /* S: sequences that have rows in the step */
  KERF_EXTENT_LOGIT_ROWS = 3, /* R: rows that want logits */
  KERF_EXTENT_WORK_ITEMS = 4, /* W: entries of each attention work list */
  /* For costs only; of the work list among the operands of the dispatch whose cost it is: */
  KERF_EXTENT_ATTENDED = 5, /* sum over rows of the keys each one sees */
  KERF_EXTENT_CACHED = 6,   /* sum over sequences of the keys that any of their rows sees */
  KERF_EXTENT_KNOWN = 7,    /* extents with a meaning */
  KERF_EXTENT_COUNT = 16    /* places in a form */
} kerf_extent;

/* sum over e of coefficient[e] * extent[e]; the coefficients from KERF_EXTENT_KNOWN on are reserved. */
typedef struct kerf_linear_form {
  int64_t coefficient[KERF_EXTENT_COUNT];
} kerf_linear_form;

/* No bound, in kerf_work_list and kerf_work_item. */
#define KERF_UNBOUNDED INT32_MAX

/* A rule by which the rows of a step see keys of their own sequence: the row at position p sees the keys at positions
 * k with p - behind < k <= p + ahead, as far as the sequence goes.
 *
 *     causal               behind KERF_UNBOUNDED, ahead 0
 *     causal within N      behind N, ahead 0
 *     bidirectional        both KERF_UNBOUNDED
 *
 * A program with a list that looks ahead sees whole texts: its steps begin at position 0. */
typedef struct kerf_work_list {
  uint32_t group; /* KV group */
  int32_t behind; /* 1 … KERF_UNBOUNDED */
  int32_t ahead;  /* 0 … KERF_UNBOUNDED */
  uint32_t reserved;
} kerf_work_list;

/* One entry of a work list: up to `attention_tile` consecutive rows of one sequence, and the keys that they see. Row
 * `row_begin + i` is at position + i and sees the keys k with key_first <= k < key_end and
 * position + i - behind < k <= position + i + ahead. Keys are numbered by their position in the sequence; those of the
 * step's own rows are already appended. No row sees a key outside [key_first, key_end), and each sees at least its own.
 * Every list of a step has the same rows in the same order. */
typedef struct kerf_work_item {
  int32_t row_begin; /* first row in the step */
  int32_t row_count; /* 1 … attention_tile */
  int32_t sequence;  /* index into page_begin */
  int32_t position;  /* of the first row */
  int32_t key_first;
  int32_t key_end;
  int32_t behind; /* as in kerf_work_list */
  int32_t ahead;
} kerf_work_item;

/* How the token of a row of logits is drawn: the candidates' logits are divided by the temperature, the top_k likeliest
 * are kept, of these the fewest likeliest that reach top_p, and of these one is drawn by `random`. Equal logits and
 * equal options give the same token on every target. */
typedef struct kerf_sampling {
  float temperature; /* 0: the greatest logit, the lowest id of equals; below 0, in the step: the row wants no token */
  float top_p;       /* 0 or 1: all */
  uint32_t top_k;    /* 0: all */
  uint32_t reserved;
  uint64_t random; /* 64 random bits; each token takes new ones */
} kerf_sampling;

/* Arrays of the step that a kernel can take as operands: KERF_STEP_COUNT of them. */
typedef enum kerf_step_field {
  KERF_STEP_TOKEN_IDS = 0,  /* int32[T] */
  KERF_STEP_POSITIONS = 1,  /* int32[T]: rope positions */
  KERF_STEP_LOGIT_ROWS = 2, /* int32[R]: rows of the step, ascending */
  KERF_STEP_WORK_ITEMS = 3, /* kerf_work_item[W], by work list of the program */
  KERF_STEP_SLOTS = 4,      /* int32[T], by KV group: page * page_size + offset in the page */
  KERF_STEP_PAGE_BEGIN = 5, /* int32[S + 1], by KV group: CSR offsets into PAGES */
  KERF_STEP_PAGES = 6,      /* int32[], by KV group: physical page numbers in logical order */
  KERF_STEP_FIRST_ROWS = 7, /* int32[S]: first row of each sequence */
  KERF_STEP_ROW_COUNTS = 8, /* int32[S]: rows of each sequence, at least 1 */
  KERF_STEP_SAMPLING = 9,   /* kerf_sampling[R], by row of logits */
  KERF_STEP_COUNT = 10
} kerf_step_field;

typedef enum kerf_operand_kind {
  KERF_OPERAND_SLOT = 0,   /* index: slot of the program's arena */
  KERF_OPERAND_WEIGHT = 1, /* index: weight of the package */
  KERF_OPERAND_STEP = 2,   /* index: kerf_step_field, plane: KV group or work list where the field is by one */
  KERF_OPERAND_CACHE = 3,  /* index: KV group, plane: plane in the group; address of page 0 of that plane */
  KERF_OPERAND_RESULT = 4  /* index: result of the program */
} kerf_operand_kind;

typedef struct kerf_operand {
  uint32_t kind; /* kerf_operand_kind */
  uint32_t index;
  uint32_t plane;
  uint32_t reserved;
} kerf_operand;

/* Runs one task of a dispatch. `operands` are the resolved addresses in the dispatch's order, `rows` is the step's size
 * that the dispatch names. Tasks of one dispatch are independent: any order, any thread. */
typedef void (*kerf_kernel_fn)(void *const *operands, int64_t rows, int64_t task);

typedef struct kerf_kernel {
  const char *name;
  kerf_kernel_fn run;
  /* tasks = ceil(rows / tile) * columns */
  uint32_t tile;
  uint32_t columns;
  uint64_t stack_bytes; /* upper bound of the stack a task uses */
} kerf_kernel;

/* CPU features, as bits of kerf_variant.features. Each names a group that is present together. */
typedef enum kerf_cpu_feature {
  KERF_CPU_AVX2 = 1u << 0,        /* AVX2, FMA, F16C, BMI2 (x86-64-v3) */
  KERF_CPU_AVX512 = 1u << 1,      /* AVX-512 F, BW, CD, DQ, VL (x86-64-v4) */
  KERF_CPU_AVX512_BF16 = 1u << 2, /* AVX512_BF16 */
  KERF_CPU_AMX_BF16 = 1u << 3     /* AMX-TILE and AMX-BF16, and the kernel's permission to use them */
} kerf_cpu_feature;

typedef struct kerf_variant {
  const char *name;  /* "avx2", "avx512", "avx512_bf16", "amx" */
  uint64_t features; /* kerf_cpu_feature bits that it needs */
  uint32_t kernel_count;
  uint32_t kernel_size;
  uint32_t attention_tile; /* most rows in one work item */
  uint32_t reserved;
  const kerf_kernel *kernels; /* [kernel_count], the same order in every variant */
} kerf_variant;

/* When a launch of a GPU kernel takes place, beside its bounds on the rows. */
typedef enum kerf_gpu_when {
  KERF_GPU_ALWAYS = 0,
  KERF_GPU_SINGLE_ROWS = 1,  /* some work item of the step has one row */
  KERF_GPU_SEVERAL_ROWS = 2, /* some work item of the step has more than one row */
  KERF_GPU_WHEN_COUNT = 3
} kerf_gpu_when;

/* One launch of a function of the image, for steps whose `rows` (the size that the dispatch names) lie in
 * [least_rows, most_rows]. Its grid has ceil(rows / tile) * columns blocks along x, or more: a function reads the rows
 * from device memory and blocks from there on do nothing, so that a captured launch serves every smaller step.
 *
 * Parameters of the function: a 64-bit device address for each operand of the dispatch, in order, then that of an
 * int32 that holds the rows. */
typedef struct kerf_gpu_launch {
  const char *function; /* entry of the image */
  uint32_t least_rows, most_rows;
  uint32_t when; /* kerf_gpu_when */
  uint32_t tile, columns;
  uint32_t threads;      /* of a block, along x; a multiple of 32 */
  uint32_t shared_bytes; /* dynamic shared memory of a block */
  uint32_t reserved;
} kerf_gpu_launch;

/* A kernel is one or more launches in this order; each may read what those before it wrote. */
typedef struct kerf_gpu_kernel {
  const char *name;
  uint32_t launch_count;
  uint32_t launch_size;
  const kerf_gpu_launch *launches;
} kerf_gpu_kernel;

typedef enum kerf_gpu_image {
  KERF_GPU_CUBIN = 0, /* runs on devices of that major compute capability, of that minor one or a higher */
  KERF_GPU_PTX = 1    /* NUL-terminated text; runs on devices of that compute capability or a higher */
} kerf_gpu_image;

typedef struct kerf_gpu_variant {
  const char *name;      /* "compute_80", "sm_80", "sm_86", "sm_89" */
  uint32_t architecture; /* 10 * major + minor compute capability */
  uint32_t image_kind;   /* kerf_gpu_image */
  const void *image;
  uint64_t image_bytes; /* with the NUL of PTX */
  uint32_t kernel_count;
  uint32_t kernel_size;
  uint32_t attention_tile; /* most rows in one work item */
  uint32_t reserved;
  const kerf_gpu_kernel *kernels; /* [kernel_count], the same order in every variant */
} kerf_gpu_variant;

typedef struct kerf_dispatch {
  uint32_t kernel; /* index into the kernels of the variant */
  uint32_t extent; /* kerf_extent below KERF_EXTENT_ATTENDED: what counts the kernel's rows */
  uint32_t operand_count;
  uint32_t operand_size;
  const kerf_operand *operands;
  const char *origin;          /* where in the model it comes from, e.g. "layers.3.mlp.down" */
  kerf_linear_form bytes;      /* bytes that must move at least once */
  kerf_linear_form operations; /* multiplications and additions */
} kerf_dispatch;

typedef struct kerf_slot {
  kerf_linear_form bytes; /* size; rounded up to KERF_ALIGNMENT by the runtime */
} kerf_slot;

typedef enum kerf_result_kind {
  KERF_RESULT_LOGITS = 0,  /* scores of the vocabulary, for the rows that want logits */
  KERF_RESULT_VECTORS = 1, /* a vector for each sequence of the step, in the order of its entries */
  KERF_RESULT_TOKENS = 2   /* int32: the token drawn from each row of logits; -1 where none is wanted or no logit is a
                              number. Where a program has logits and no tokens, the runtime draws them */
} kerf_result_kind;

typedef enum kerf_element { KERF_ELEMENT_F32 = 0, KERF_ELEMENT_I32 = 1 } kerf_element;

/* What a program gives: element[rows][columns]. */
typedef struct kerf_result {
  uint32_t kind;    /* kerf_result_kind */
  uint32_t extent;  /* kerf_extent that counts the rows: LOGIT_ROWS for logits and tokens, SEQUENCES for vectors */
  uint32_t columns; /* of logits: the vocabulary; of tokens: 1 */
  uint32_t element; /* kerf_element: I32 for tokens, else F32 */
} kerf_result;

/* A way to run the model: "step" gives logits, "encode" a vector for each text. A model has at least one; all share
 * its weights, KV groups and kernels. Programs are found by name. */
typedef struct kerf_program {
  const char *name;
  uint32_t dispatch_count;
  uint32_t dispatch_size;
  uint32_t slot_count;
  uint32_t slot_size;
  uint32_t work_list_count;
  uint32_t work_list_size;
  uint32_t result_count;
  uint32_t result_size;
  const kerf_dispatch *dispatches;
  const kerf_slot *slots;
  const kerf_work_list *work_lists;
  const kerf_result *results;
} kerf_program;

/* What the compiled code assumes of a KV group; the package must state the same. One page of one plane is
 * page_bytes long; what is in it is the kernels' affair. */
typedef struct kerf_cache_group {
  uint32_t planes;
  uint32_t page_size; /* positions in a page */
  uint64_t page_bytes;
} kerf_cache_group;

typedef struct kerf_library {
  uint32_t abi_version; /* KERF_ABI_VERSION */
  uint32_t struct_size; /* sizeof(kerf_library) at compile time */
  uint8_t build_id[32]; /* equal in MODEL.kerf and MODEL.h */
  const char *model_name;
  uint32_t variant_count;
  uint32_t variant_size;
  uint32_t program_count;
  uint32_t program_size;
  uint32_t weight_count;
  uint32_t group_count;
  uint32_t group_size;
  uint32_t reserved;
  const kerf_variant *variants; /* best last */
  const kerf_program *programs;
  const uint64_t *weight_bytes; /* [weight_count]: packed size of each weight */
  const kerf_cache_group *groups;
  uint32_t vocabulary; /* token ids are below this */
  uint32_t context;    /* longest sequence */
  /* A library is for CPUs or for GPUs: one of variant_count and gpu_variant_count is 0. */
  uint32_t gpu_variant_count;
  uint32_t gpu_variant_size;
  const kerf_gpu_variant *gpu_variants; /* best last */
} kerf_library;

#ifdef __cplusplus
}
#endif
#endif
