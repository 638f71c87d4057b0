/// The Kerf runtime's C API.
///
///     kerf_model ── immutable, any number of threads at once
///       └─ kerf_context ── arena, KV pages, thread pool; one thread at a time
///            └─ kerf_sequence ── one text: fork, truncate, save, restore
///
/// The order of calls is open, create, plan, step …, close. The library never prints, never exits, lets no exception
/// out, and allocates nothing during kerf_context_step.
///
/// Conventions. A function that can fail returns a kerf_code and takes an optional `kerf_error *` last: on failure it
/// is filled in and outputs are set to NULL or left alone, as said there. Option and report structs start with
/// `struct_size`, which the caller sets to sizeof the struct; zero in any other field means its default, so
/// `kerf_plan_options options = {sizeof options};` is a whole set of options. Strings handed out belong to the object
/// that they come from and live as long.
#ifndef KERF_KERF_H
#define KERF_KERF_H

#include <stddef.h>
#include <stdint.h>

#include "kerf/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Version of this header; kerf_version() is that of the library in use.
#define KERF_VERSION_MAJOR 0
#define KERF_VERSION_MINOR 1
#define KERF_VERSION_PATCH 0
#define KERF_VERSION_STRING "0.1.0"

/// Marks what the shared library exports.
#if defined(__GNUC__)
#define KERF_API __attribute__((visibility("default")))
#else
#define KERF_API
#endif

/// What went wrong.
typedef enum kerf_code {
  KERF_OK = 0,
  KERF_BAD_ARGUMENT = 1,    ///< the call breaks a rule stated here; nothing was changed
  KERF_BAD_ARTIFACT = 2,    ///< MODEL.kerf or libMODEL.so is damaged, foreign or of another build
  KERF_IO = 3,              ///< a file could not be opened, read or mapped
  KERF_OUT_OF_MEMORY = 4,   ///< a plan does not fit, or the system gave no memory
  KERF_OUT_OF_PAGES = 5,    ///< a step needs more KV pages than are free: close or truncate a sequence
  KERF_UNSUPPORTED_CPU = 6, ///< no variant of the model runs on this CPU
  KERF_CANCELLED = 7,       ///< kerf_context_cancel came during the call
  KERF_FAILED = 8,          ///< anything else; the message says what
  KERF_DEVICE_FAILED = 9    ///< no GPU or CUDA driver that runs the model, or it failed; the message names the call
} kerf_code;

/// An error with its text: lower case, without a final full stop, cut to fit.
typedef struct kerf_error {
  kerf_code code;
  char message[508];
} kerf_error;

/// A model that is open: weights, tokenizer, chosen kernels. Immutable.
typedef struct kerf_model kerf_model;
/// Everything that running a model needs: memory, threads, sequences.
typedef struct kerf_context kerf_context;
/// One sequence of tokens and its KV pages, inside a context.
typedef struct kerf_sequence kerf_sequence;

/// "0.1.0" of the library in use. Any thread; never fails.
KERF_API const char *kerf_version(void);
/// KERF_ABI_VERSION that the library in use accepts. Any thread; never fails.
KERF_API uint32_t kerf_abi_version(void);
/// The enumerator's name, e.g. "KERF_OUT_OF_PAGES". Static text. Any thread; never fails.
KERF_API const char *kerf_code_name(kerf_code code);

// ---------------------------------------------------------------------------------------------------------- model

/// Told how far the weights are on their way to a GPU, in bytes. Returns nonzero to give up. Runs on the thread that
/// opens the model and may not use it.
typedef int (*kerf_progress_fn)(void *user, uint64_t done, uint64_t total);

/// How to open a model.
typedef struct kerf_model_options {
  uint32_t struct_size;
  uint32_t verify_checksums; ///< nonzero: read all weights and compare their SHA-256 (slow for large models)
  const char *variant;       ///< name of the variant to run; NULL: the best that runs here (KERF_CPU_VARIANT on a CPU)
  const char *driver;        ///< of a GPU: file of the CUDA driver; NULL: KERF_CUDA_DRIVER, else libcuda.so.1
  uint32_t device;           ///< of a GPU: which, as the driver counts them
  uint32_t reserved;
  kerf_progress_fn on_progress; ///< of a GPU; may be NULL
  void *user;                   ///< passed to on_progress
} kerf_model_options;

/// Opens a package by mapping it. Weights for a CPU are used where they are mapped; those for a GPU are copied to it
/// once, for all contexts of the model. `library` is the constant that libMODEL.so exports (MODEL.h
/// declares it) and must outlive the model. The manifest, every offset and the agreement of package and library are
/// checked. `options` may be NULL. On success `*out` is the caller's, to close. On failure `*out` is NULL: KERF_IO,
/// KERF_BAD_ARTIFACT, KERF_UNSUPPORTED_CPU, KERF_BAD_ARGUMENT (unknown variant or device, or driver or device for a model
/// that runs on a CPU), KERF_DEVICE_FAILED (no driver, no GPU, none of the variants runs on it), KERF_OUT_OF_MEMORY (of
/// the GPU, for the weights), KERF_CANCELLED (by on_progress). Any thread.
KERF_API kerf_code kerf_model_open(const char *path, const kerf_library *library, const kerf_model_options *options,
                                   kerf_model **out, kerf_error *error);

/// As kerf_model_open, with the library beside the package: DIR/STEM.kerf needs DIR/libSTEM.so (kerf/names.h). The
/// library is loaded with its symbols kept local, and unloaded when the model is closed. Any thread.
KERF_API kerf_code kerf_model_open_files(const char *path, const kerf_model_options *options, kerf_model **out,
                                         kerf_error *error);

/// Gives up the caller's handle; NULL is allowed. Contexts keep what they need of the model until they are closed.
KERF_API void kerf_model_close(kerf_model *model);

/// Facts about a model. Texts belong to the model.
typedef struct kerf_model_info {
  uint32_t struct_size;
  uint32_t abi_version;
  const char *name;
  const char *architecture;
  const char *target;
  const char *compiler_version;
  const char *compiler_flags;
  const char *variant;       ///< the one in use
  const char *chat_template; ///< "" when the package has none
  uint32_t vocabulary;       ///< columns of the logits
  uint32_t context;          ///< longest sequence
  uint32_t hidden;
  uint32_t layers;
  uint32_t variant_count;
  uint32_t weight_count;
  uint32_t group_count; ///< KV groups
  uint32_t has_tokenizer;
  uint64_t weight_bytes; ///< sum of the packed weights
  uint64_t file_bytes;
  uint64_t cache_bytes_per_token; ///< KV bytes of one position over all groups, rounded up
  const uint8_t *build_id;        ///< 32 bytes
  uint32_t generates;             ///< nonzero: it gives logits, for kerf_context_step and kerf_generate
  uint32_t vector;                ///< columns of the vectors that kerf_context_embed gives; 0: it gives none
  const char *device;             ///< name of the CPU or GPU that it runs on
} kerf_model_info;

/// Fills in `*info` up to its struct_size. KERF_BAD_ARGUMENT when that is no known size. Any thread.
KERF_API kerf_code kerf_model_get_info(const kerf_model *model, kerf_model_info *info, kerf_error *error);

/// Name of variant `index`, in rising order of preference, or NULL past the last. Any thread; never fails.
KERF_API const char *kerf_model_variant(const kerf_model *model, uint32_t index);
/// Whether this CPU and system, or the model's GPU, can run variant `index`. Any thread; never fails.
KERF_API int kerf_model_variant_runs(const kerf_model *model, uint32_t index);
/// End-of-text ids of the model: returns how many there are and writes the first `capacity`. Any thread.
KERF_API size_t kerf_model_end_tokens(const kerf_model *model, int32_t *ids, size_t capacity);

/// Compares every weight with its SHA-256. KERF_BAD_ARTIFACT names the first that differs. Any thread.
KERF_API kerf_code kerf_model_verify(const kerf_model *model, kerf_error *error);

/// Flags of kerf_tokenize, kerf_detokenize and of a prompt.
enum {
  KERF_NO_FRAME = 1u,    ///< tokenize: do not put the tokens around the text that the model expects there
  KERF_PLAIN_TEXT = 2u,  ///< tokenize: text that spells a special token is text, not that token (for text from users)
  KERF_SKIP_SPECIAL = 4u ///< detokenize: leave special tokens out
};

/// Splits UTF-8 text into ids; malformed bytes count as U+FFFD. `*count` gets the number of ids; the first
/// `capacity` are written to `ids` (which may be NULL when capacity is 0). KERF_BAD_ARGUMENT when the package has no
/// tokenizer. Any thread.
KERF_API kerf_code kerf_tokenize(const kerf_model *model, const char *text, size_t bytes, uint32_t flags, int32_t *ids,
                                 size_t capacity, size_t *count, kerf_error *error);

/// Joins ids into UTF-8 text. `*bytes` gets its length; the first `capacity` bytes are written, with no final zero.
/// KERF_BAD_ARGUMENT on an id outside the vocabulary. Any thread.
KERF_API kerf_code kerf_detokenize(const kerf_model *model, const int32_t *ids, size_t count, uint32_t flags,
                                   char *text, size_t capacity, size_t *bytes, kerf_error *error);

/// What the vocabulary has for one token: bytes, not always whole characters, or for vocabularies of characters text
/// with their marks (▁, ##, <0x0A>). `*bytes` gets how many bytes; the first `capacity` are written, with no final
/// zero. KERF_BAD_ARGUMENT on an id outside the tokenizer's vocabulary. Any thread.
KERF_API kerf_code kerf_token_bytes(const kerf_model *model, int32_t id, char *out, size_t capacity, size_t *bytes,
                                    kerf_error *error);

// ----------------------------------------------------------------------------------------------------------- chat

/// One message of a conversation, UTF-8; malformed bytes count as U+FFFD.
typedef struct kerf_chat_message {
  const char *role;     ///< "system", "user", "assistant", or what else the template knows
  const char *content;
  size_t content_bytes; ///< 0: up to the final zero
} kerf_chat_message;

/// What the model's chat template is rendered with.
typedef struct kerf_chat {
  uint32_t struct_size;
  uint32_t message_size; ///< sizeof(kerf_chat_message)
  uint32_t message_count;
  uint32_t generation_prompt; ///< nonzero: end where the model is to speak
  const kerf_chat_message *messages;
  int64_t time; ///< seconds since 1970 (UTC), for templates that print the date; 0: none is known
} kerf_chat;

/// Renders the chat template of the package. `*bytes` gets the length of the text; the first `capacity` bytes are
/// written, with no final zero. KERF_BAD_ARGUMENT when there is no template, when it refuses the conversation or wants
/// the date and `time` is 0; KERF_BAD_ARTIFACT, with the line, when it is wrong, needs too much, or uses what is outside
/// the subset of Jinja2 that Kerf renders. Any thread.
KERF_API kerf_code kerf_chat_render(const kerf_model *model, const kerf_chat *chat, char *text, size_t capacity,
                                    size_t *bytes, kerf_error *error);

/// The ids of that text, nothing around them; written as kerf_tokenize writes them. Special tokens are made of what the
/// template wrote and never of what messages say: nobody's text can end its turn or begin another. Fails as
/// kerf_chat_render, and when there is no tokenizer. Any thread.
KERF_API kerf_code kerf_chat_tokenize(const kerf_model *model, const kerf_chat *chat, int32_t *ids, size_t capacity,
                                      size_t *count, kerf_error *error);

// -------------------------------------------------------------------------------------------------------- context

/// How to make a context.
typedef struct kerf_context_options {
  uint32_t struct_size;
  uint32_t threads; ///< 0: as many as affinity and CPU quota allow; a model on a GPU has one
  uint32_t poison;  ///< nonzero (debugging): fill arena, results and fresh KV pages with NaN before use
} kerf_context_options;

/// Makes a context with its own thread pool and no memory yet: kerf_context_plan comes next. `options` may be NULL. On
/// success `*out` is the caller's. The context keeps the model alive. Any thread; the context is then used by one
/// thread at a time.
KERF_API kerf_code kerf_context_create(kerf_model *model, const kerf_context_options *options, kerf_context **out,
                                       kerf_error *error);
/// Closes a context and all its sequences; their handles are then void. NULL is allowed.
KERF_API void kerf_context_close(kerf_context *context);
/// Threads that run a step, the calling one included. Never fails.
KERF_API uint32_t kerf_context_threads(const kerf_context *context);

/// The ceilings that a context is sized for.
typedef struct kerf_plan_options {
  uint32_t struct_size;
  uint32_t max_tokens;     ///< most rows in a step; 0: 512, or `context` where that is less
  uint32_t max_sequences;  ///< most sequences open at once; 0: 1
  uint32_t context;        ///< longest sequence; 0: the model's; more than the model's is refused
  uint32_t max_logit_rows; ///< most rows with logits in a step; 0: max_sequences
  uint32_t kv_pages;       ///< KV pages for each group; 0: enough for every sequence at full length, or of a model that
                           ///< takes texts as a whole, an encoder, for every step
  uint64_t memory_limit;   ///< refuse to plan for more bytes than this of the memory that the model runs in, the host's
                           ///< or a GPU's; 0: what is available
} kerf_plan_options;

/// The memory certificate, evaluated: an upper bound of what the context and its model use, in bytes. On a GPU weights,
/// KV pages and arena are in its memory alone, step arrays and results there and in page-locked memory of the host.
typedef struct kerf_plan_report {
  uint32_t struct_size;
  uint32_t max_tokens; ///< the ceilings with defaults filled in
  uint32_t max_sequences;
  uint32_t context;
  uint32_t max_logit_rows;
  uint32_t kv_pages;
  uint32_t max_work_items; ///< attention work list
  uint32_t threads;
  uint64_t weights;   ///< mapped; shared by all contexts of the model
  uint64_t manifest;  ///< mapped manifest and the tokenizer built from it; shared likewise
  uint64_t cache;     ///< KV pages
  uint64_t arena;     ///< activations
  uint64_t step;      ///< token, slot, page and work arrays
  uint64_t results;   ///< what a program gives: max_logit_rows rows of logits, or a vector for each sequence; f32
  uint64_t sampler;   ///< scratch of kerf_generate
  uint64_t sequences; ///< page tables, reference counts and the context's own records
  uint64_t stacks;    ///< the stack that kernels may touch, over all threads
  uint64_t total;     ///< the sum of the above; on a GPU of what the host has of it
  uint64_t available; ///< what `total` was compared with: memory_limit or the system's
  uint64_t device;    ///< bytes of a GPU's memory, beside what the driver itself takes; 0 on a CPU
  uint64_t device_available; ///< what `device` was compared with: memory_limit or what of the GPU's memory is free or
                             ///< holds the weights
} kerf_plan_report;

/// Evaluates the certificate for `threads` (0: as kerf_context_create) without allocating anything. KERF_BAD_ARGUMENT
/// as kerf_context_plan; a total above the limit is not an error here. `options` may be NULL. Any thread.
KERF_API kerf_code kerf_model_certificate(const kerf_model *model, uint32_t threads, const kerf_plan_options *options,
                                          kerf_plan_report *report, kerf_error *error);

/// Fixes every size and offset and allocates everything that steps need, once. KERF_OUT_OF_MEMORY, with both numbers
/// in the message, when the certificate is above the limit; KERF_BAD_ARGUMENT when a ceiling is out of range or a
/// sequence is open. On failure the context has no plan. `options` and `report` may be NULL. May be called again with
/// other ceilings while no sequence is open.
KERF_API kerf_code kerf_context_plan(kerf_context *context, const kerf_plan_options *options, kerf_plan_report *report,
                                     kerf_error *error);

/// The report of the plan in force. KERF_BAD_ARGUMENT before a plan.
KERF_API kerf_code kerf_context_report(const kerf_context *context, kerf_plan_report *report, kerf_error *error);

/// KV pages of `group` that no sequence holds; 0 before a plan or past the last group. Never fails.
KERF_API uint32_t kerf_context_free_pages(const kerf_context *context, uint32_t group);

/// Ends the kerf_context_step, kerf_context_embed or kerf_generate that runs now, as soon as the dispatch in progress
/// is done: the first two fail with KERF_CANCELLED, a generation ends with KERF_FINISH_CANCELLED. Does nothing when
/// neither runs. What a GPU has begun it ends first. Any thread, also from a signal handler.
KERF_API void kerf_context_cancel(kerf_context *context);

// ------------------------------------------------------------------------------------------------------- sequence

/// Opens an empty sequence. It belongs to the context; close it to make room. KERF_BAD_ARGUMENT before a plan or when
/// max_sequences are open. Allocates nothing.
KERF_API kerf_code kerf_sequence_create(kerf_context *context, kerf_sequence **out, kerf_error *error);
/// Opens a sequence with the same tokens. Pages are shared; the first to write into a shared page gets a copy of it.
/// KERF_BAD_ARGUMENT when max_sequences are open. Allocates nothing.
KERF_API kerf_code kerf_sequence_fork(const kerf_sequence *sequence, kerf_sequence **out, kerf_error *error);
/// Forgets all tokens from `length` on and gives back their pages. KERF_BAD_ARGUMENT when it has fewer.
KERF_API kerf_code kerf_sequence_truncate(kerf_sequence *sequence, uint32_t length, kerf_error *error);
/// Tokens in the sequence. Never fails.
KERF_API uint32_t kerf_sequence_length(const kerf_sequence *sequence);
/// Gives back the sequence and its pages; the handle is then void. NULL is allowed.
KERF_API void kerf_sequence_close(kerf_sequence *sequence);

/// Writes the sequence, its KV pages and what they belong to, into `bytes`, so that kerf_sequence_restore continues it
/// later without running its tokens again, also in another process. `*size` gets the bytes that it takes; they are
/// written if `capacity` is at least that, and with NULL and 0 only counted. KERF_BAD_ARGUMENT when a capacity that is
/// not 0 is too small. The ids are not kept: the caller has them. Allocates nothing.
KERF_API kerf_code kerf_sequence_save(const kerf_sequence *sequence, void *bytes, size_t capacity, size_t *size,
                                      kerf_error *error);
/// Opens a sequence from the `size` bytes that kerf_sequence_save wrote for the same compiled model (equal build id),
/// under any CPU variant: logits are then those of the saved sequence bit for bit if the variant is the same, and as
/// near as two variants are otherwise. The bytes need not be trusted. On failure `*out` is NULL and nothing has
/// changed: KERF_BAD_ARTIFACT (damaged, or of another build), KERF_BAD_ARGUMENT (before a plan, max_sequences are open,
/// longer than the planned context), KERF_OUT_OF_PAGES. Allocates nothing.
KERF_API kerf_code kerf_sequence_restore(kerf_context *context, const void *bytes, size_t size, kerf_sequence **out,
                                         kerf_error *error);

// ----------------------------------------------------------------------------------------------------------- step

/// Which rows of an entry get logits.
typedef enum kerf_logits { KERF_LOGITS_NONE = 0, KERF_LOGITS_LAST = 1, KERF_LOGITS_ALL = 2 } kerf_logits;

/// Tokens to append to one sequence.
typedef struct kerf_step_entry {
  kerf_sequence *sequence;
  const int32_t *ids; ///< [count]; may be NULL when count is 0
  uint32_t count;
  uint32_t logits; ///< kerf_logits
  /// NULL: the rows' logits are wanted. Otherwise (with KERF_LOGITS_LAST) the token that follows the last row, drawn in
  /// this way: see kerf_sampling in abi.h, and kerf_context_token. `random` is the caller's; kerf_generate takes
  /// numbers of xoshiro256**. A GPU then gives back the token alone.
  const kerf_sampling *sampling;
} kerf_step_entry;

/// One step: a ragged batch. Prompts, pieces of prompts and single tokens mix freely.
typedef struct kerf_step {
  uint32_t struct_size;
  uint32_t entry_size; ///< sizeof(kerf_step_entry)
  uint32_t entry_count;
  const kerf_step_entry *entries; ///< each sequence at most once; copied before the call returns, with what they name
} kerf_step;

/// Appends the tokens of every entry to its sequence and computes the logits, or draws the tokens, asked for. No tokens
/// at all is a valid step that does nothing. On failure every sequence is as it was: KERF_BAD_ARGUMENT (an id outside
/// the vocabulary, more tokens or logit rows than planned, a sequence twice, closed or of another context, a sequence
/// past the planned context, a sampling that is out of range or of other rows than the last), KERF_OUT_OF_PAGES,
/// KERF_CANCELLED, KERF_DEVICE_FAILED. Allocates nothing.
KERF_API kerf_code kerf_context_step(kerf_context *context, const kerf_step *step, kerf_error *error);

/// Rows of logits that the last successful step made, those from which a token was drawn among them; 0 after a failed
/// one. Never fails.
KERF_API uint32_t kerf_context_logit_rows(const kerf_context *context);
/// Row `row` of the logits (vocabulary floats), in the order of entries and of rows in them. Belongs to the context,
/// until its next step. NULL past the last row, and for a row from which a token was drawn: its logits may never have
/// left the device.
KERF_API const float *kerf_context_logits(const kerf_context *context, uint32_t row);
/// The token drawn from row `row` of the logits, numbered alike, until the next step. -1 past the last row, for a row
/// whose logits were wanted, and where no logit was a number. Never fails.
KERF_API int32_t kerf_context_token(const kerf_context *context, uint32_t row);

// ------------------------------------------------------------------------------------------------------- generate

/// Why a generation ended.
typedef enum kerf_finish {
  KERF_FINISH_END = 0,      ///< an end token
  KERF_FINISH_STOP = 1,     ///< a stop string
  KERF_FINISH_LENGTH = 2,   ///< max_tokens, or the sequence is as long as the context allows
  KERF_FINISH_CANCELLED = 3 ///< the callback said so, or kerf_context_cancel
} kerf_finish;

/// The name in lower case: "end", "stop", "length", "cancelled". Static text. Never fails.
KERF_API const char *kerf_finish_name(kerf_finish finish);

/// Receives text as it is made: whole UTF-8 characters, never a part of a stop string. May be called with 0 bytes when
/// a token completes no character. Returns nonzero to end the generation. Runs on the thread of kerf_generate and may
/// not use the context, kerf_context_cancel apart.
typedef int (*kerf_text_fn)(void *user, const char *text, size_t bytes);

/// What to generate. All zero but the prompt: greedy, until an end token or the end of the context.
typedef struct kerf_generate_options {
  uint32_t struct_size;
  uint32_t max_tokens;       ///< most new tokens; 0: until the context is full
  const char *prompt;        ///< UTF-8 text, or NULL and `prompt_ids`
  size_t prompt_bytes;       ///< 0: up to the final zero
  const int32_t *prompt_ids; ///< [prompt_id_count]
  uint32_t prompt_id_count;
  uint32_t prompt_flags;    ///< KERF_NO_FRAME, KERF_PLAIN_TEXT
  kerf_sequence *sequence;  ///< continue this one, and leave the new tokens in it; NULL: one of its own
  float temperature;        ///< 0: greedy (the lowest id of equal maxima)
  float top_p;              ///< keep the fewest likeliest tokens with at least this sum; 0 or 1: all
  uint32_t top_k;           ///< keep the k likeliest tokens; 0: all
  uint32_t ignore_end;      ///< nonzero: end tokens are like any other
  uint64_t seed;            ///< of xoshiro256**, through splitmix64; the same seed gives the same text
  const char *const *stops; ///< [stop_count] strings that end the text; they are not part of it
  uint32_t stop_count;
  uint32_t keep_special; ///< nonzero: special tokens appear in the text
  kerf_text_fn on_text;  ///< may be NULL
  void *user;            ///< passed to on_text
} kerf_generate_options;

/// What came out. `text` and `ids` are the caller's, freed by kerf_generate_result_free.
typedef struct kerf_generate_result {
  uint32_t struct_size;
  uint32_t finish; ///< kerf_finish
  char *text;      ///< ends with a zero that is not counted
  size_t text_bytes;
  int32_t *ids; ///< every token made; a stop string's tokens and the end token are among them
  uint32_t id_count;
  uint32_t prompt_tokens;
  uint64_t prompt_ns; ///< tokenizing and running the prompt, up to its logits
  uint64_t decode_ns; ///< all steps of one token
  uint64_t first_ns;  ///< from the call to the first new token
  uint32_t decode_steps;
} kerf_generate_result;

/// Sets the sampling fields to what the model's generation_config.json asks for and all others to zero. Any thread.
KERF_API kerf_code kerf_generate_options_init(const kerf_model *model, kerf_generate_options *options,
                                              kerf_error *error);

/// Runs the prompt, in pieces where it is longer than max_tokens of the plan, then makes token after token. A
/// generation that is cancelled is a success with KERF_FINISH_CANCELLED. Failures: those of kerf_context_step, an empty
/// prompt, a prompt that does not fit the context, a text prompt or stop strings without a tokenizer. A sequence given
/// in the options keeps the prompt and the tokens that were run (all but the last); on failure it is as it was.
/// `result` may be NULL; on failure nothing in it needs freeing.
KERF_API kerf_code kerf_generate(kerf_context *context, const kerf_generate_options *options,
                                 kerf_generate_result *result, kerf_error *error);
/// Frees what a result holds and zeroes it. NULL is allowed.
KERF_API void kerf_generate_result_free(kerf_generate_result *result);

// ---------------------------------------------------------------------------------------------------------- embed

/// A text to embed: UTF-8, or ids with all the tokens that the model expects around a text.
typedef struct kerf_embed_input {
  const char *text;   ///< UTF-8, or NULL and `ids`
  size_t text_bytes;  ///< 0: up to the final zero
  const int32_t *ids; ///< [id_count]
  uint32_t id_count;
  uint32_t flags; ///< of the text: KERF_NO_FRAME, KERF_PLAIN_TEXT
} kerf_embed_input;

/// What to embed.
typedef struct kerf_embed_options {
  uint32_t struct_size;
  uint32_t input_size; ///< sizeof(kerf_embed_input)
  size_t input_count;
  const kerf_embed_input *inputs; ///< [input_count]; may be NULL when that is 0
  float *vectors;                 ///< [input_count][info.vector]; the caller's
  uint32_t *tokens;               ///< [input_count] or NULL; the caller's: gets the tokens of each text that were run
  uint32_t refuse_long;           ///< nonzero: a text of more tokens than the planned context is an error; 0: it is cut
} kerf_embed_options;

/// What it took.
typedef struct kerf_embed_result {
  uint32_t struct_size;
  uint32_t steps;
  uint64_t tokens;
  uint64_t cut; ///< texts that were cut to the context; the tokens that the model expects behind a text are kept
  uint64_t nanoseconds;
} kerf_embed_result;

/// Computes the vector of every text, in as many steps as the plan's max_tokens and max_sequences make necessary. The
/// texts of a step are a ragged batch: none is padded, and a text's vector does not depend on the others. Sequences
/// that are free during the call are used and given back. On failure `vectors` may be written in part:
/// KERF_BAD_ARGUMENT (a model that gives no vectors, an input without tokens, an id outside the vocabulary, ids beyond
/// the context, a text of more tokens than max_tokens, no free sequence), KERF_OUT_OF_PAGES, KERF_CANCELLED. `result`
/// may be NULL.
KERF_API kerf_code kerf_context_embed(kerf_context *context, const kerf_embed_options *options,
                                      kerf_embed_result *result, kerf_error *error);

// -------------------------------------------------------------------------------------------------------- profile

/// What one dispatch of the step cost since profiling was switched on.
typedef struct kerf_profile_row {
  uint32_t struct_size;
  uint32_t dispatch; ///< position in the step
  const char *kernel;
  const char *origin; ///< where in the model, e.g. "layers.3.mlp.down"
  uint64_t calls;
  uint64_t nanoseconds;
  uint64_t tasks; ///< on a GPU blocks
  double bytes;      ///< that must have moved at least
  double operations; ///< multiplications and additions
} kerf_profile_row;

/// Switches the timing of each dispatch on (nonzero) or off, and clears it. Costs two clock readings a dispatch; on a GPU
/// an event before each, and dispatches are then launched one by one.
/// KERF_BAD_ARGUMENT before a plan.
KERF_API kerf_code kerf_context_profile(kerf_context *context, int enable, kerf_error *error);
/// Row `index`, in the order of dispatches; KERF_BAD_ARGUMENT past the last.
KERF_API kerf_code kerf_context_profile_row(const kerf_context *context, uint32_t index, kerf_profile_row *row,
                                            kerf_error *error);

#ifdef __cplusplus
}
#endif
#endif
