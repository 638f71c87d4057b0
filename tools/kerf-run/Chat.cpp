// kerf-run chat: a conversation, line by line.
#include "tools/kerf-run/Commands.h"
#include "tools/kerf-run/Sampling.h"
#include "tools/runtime-support/CommandLine.h"
#include "tools/runtime-support/EventLog.h"
#include "tools/runtime-support/Interrupt.h"
#include "tools/runtime-support/Text.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <memory>
#include <unistd.h>

using namespace kerf::tools;

namespace {

struct Options : SamplingOptions {
  Options() { maxTokens = 512; }
  std::string system;
  bool plain = false;
};

// The conversation so far, and the ids that the model is to continue.
class Conversation {
public:
  Conversation(const Model &model, const Options &options) : model(model), plain(options.plain) {
    if (!options.system.empty())
      turns.push_back({"system", options.system});
    if (!plain)
      plain = !probe(options.quiet);
    if (plain && !options.system.empty())
      throw std::runtime_error("--system needs a chat template that Kerf renders; without one, lines are plain text");
  }

  // The ids with `line` as the next turn; throws, and forgets the turn, if the template refuses it.
  std::vector<int32_t> ask(const std::string &line) {
    if (plain) {
      text += (text.empty() ? "" : "\n") + line;
      return tokenize(model, text, KERF_PLAIN_TEXT);
    }
    turns.push_back({"user", line});
    try {
      return rendered();
    } catch (...) {
      turns.pop_back();
      throw;
    }
  }

  void answered(const std::string &answer) {
    if (plain)
      text += answer;
    else
      turns.push_back({"assistant", answer});
  }

private:
  struct Turn {
    std::string role, content;
  };

  template <typename Call> void withChat(Call call) const {
    std::vector<kerf_chat_message> messages;
    for (const Turn &turn : turns)
      messages.push_back({turn.role.c_str(), turn.content.c_str(), turn.content.size()});
    kerf_chat chat = {};
    chat.struct_size = sizeof chat;
    chat.message_size = sizeof(kerf_chat_message);
    chat.message_count = uint32_t(messages.size());
    chat.generation_prompt = 1;
    chat.messages = messages.data();
    chat.time = std::time(nullptr);
    call(chat);
  }

  // Whether the template can be rendered at all; says why not.
  bool probe(bool quiet) {
    auto plainText = [&](const std::string &why) {
      if (!quiet)
        warn(why + ": lines are continued as plain text");
      return false;
    };
    if (!*infoOf(model).chat_template)
      return plainText("the package has no chat template");
    kerf_error error;
    kerf_code code = KERF_OK;
    turns.push_back({"user", "?"});
    withChat([&](const kerf_chat &chat) {
      size_t bytes = 0;
      code = kerf_chat_render(model.get(), &chat, nullptr, 0, &bytes, &error);
    });
    turns.pop_back();
    if (code != KERF_BAD_ARTIFACT) {
      check(code, error);
      return true;
    }
    return plainText(error.message);
  }

  std::vector<int32_t> rendered() const {
    std::vector<int32_t> ids;
    withChat([&](const kerf_chat &chat) {
      kerf_error error;
      size_t count = 0;
      check(kerf_chat_tokenize(model.get(), &chat, nullptr, 0, &count, &error), error);
      ids.resize(count);
      check(kerf_chat_tokenize(model.get(), &chat, ids.data(), ids.size(), &count, &error), error);
    });
    return ids;
  }

  const Model &model;
  bool plain;
  std::vector<Turn> turns;
  std::string text;
};

// Answers to prompts that mostly begin alike: what the sequence has of the last one is not run again.
class Answerer {
public:
  Answerer(const Context &context, const kerf_generate_options &generation, bool quiet)
      : context(context), sequence(makeSequence(context)), generation(generation), quiet(quiet) {
    this->generation.sequence = sequence.get();
    this->generation.on_text = [](void *, const char *part, size_t bytes) { return int(!writeOut({part, bytes})); };
  }

  std::string answer(std::vector<int32_t> ids) {
    // One token at least must run: its logits are the answer's first.
    size_t common = 0;
    while (common + 1 < ids.size() && common < cached.size() && ids[common] == cached[common])
      ++common;
    kerf_error error;
    check(kerf_sequence_truncate(sequence.get(), uint32_t(common), &error), error);
    cached.resize(common);
    generation.prompt_ids = ids.data() + common;
    generation.prompt_id_count = uint32_t(ids.size() - common);
    kerf_generate_result result = {};
    result.struct_size = sizeof result;
    {
      const CancelOnInterrupt interrupt(context);
      check(kerf_generate(context.get(), &generation, &result, &error), error);
    }
    writeOut("\n");
    ids.insert(ids.end(), result.ids, result.ids + result.id_count);
    ids.resize(kerf_sequence_length(sequence.get()));
    cached = std::move(ids);
    if (!quiet)
      std::fprintf(stderr, "[%zu prompt tokens kept, %u run in %.3f s, %u new tokens in %.3f s, end: %s]\n", common,
                   result.prompt_tokens, double(result.prompt_ns) * 1e-9, result.id_count,
                   double(result.decode_ns) * 1e-9, kerf_finish_name(kerf_finish(result.finish)));
    eventLog().write("answer", [&](JsonWriter &json) {
      json.value("kept_tokens", uint64_t(common));
      json.value("prompt_tokens", result.prompt_tokens);
      json.value("new_tokens", result.id_count);
      json.value("prompt_seconds", double(result.prompt_ns) * 1e-9);
      json.value("decode_seconds", double(result.decode_ns) * 1e-9);
      json.value("finish", kerf_finish_name(kerf_finish(result.finish)));
    });
    std::string text(result.text, result.text_bytes);
    kerf_generate_result_free(&result);
    return text;
  }

private:
  const Context &context;
  const Sequence sequence;
  kerf_generate_options generation;
  const bool quiet;
  std::vector<int32_t> cached;
};

void chat(const Options &options) {
  const Model model = openModel(options);
  Conversation conversation(model, options);
  const Context context = makeContext(model, options);
  kerf_plan_options planned = {};
  planned.struct_size = sizeof planned;
  planned.context = options.context;
  planned.memory_limit = options.memoryLimit;
  const kerf_plan_report report = plan(context, planned);

  Answerer answerer(context, samplingOf(model, options), options.quiet);

  const bool terminal = isatty(STDIN_FILENO);
  for (std::string line; terminal && std::fputs("> ", stderr), std::getline(std::cin, line);) {
    if (line.empty())
      continue;
    std::vector<int32_t> ids;
    try {
      ids = conversation.ask(line);
    } catch (const std::exception &refusal) {
      if (!terminal)
        throw;
      warn(refusal.what());
      continue;
    }
    if (ids.size() >= report.context)
      throw std::runtime_error("the conversation must be shorter than the context of " +
                               std::to_string(report.context) + " tokens, got " + std::to_string(ids.size()) +
                               "; begin another" + (options.context ? ", or give a larger --context" : ""));
    conversation.answered(answerer.answer(std::move(ids)));
  }
  if (terminal)
    std::fputs("\n", stderr);
}

} // namespace

void kerf::tools::addChat(CLI::App &app) {
  const auto options = std::make_shared<Options>();
  CLI::App *command = app.add_subcommand(
      "chat", "Answer line by line, with the model's chat template; Ctrl-C ends an answer, Ctrl-D the conversation");
  addRunOptions(*command, *options, nullptr);
  command->add_option("--system", options->system, "What the model is told before the conversation");
  addSamplingOptions(*command, *options, "Most tokens of an answer");
  command->add_flag("--plain", options->plain, "No template: continue what was said so far and the line, as text");
  command->add_option("--context", options->context, "Longest conversation in tokens; 0: the model's");
  command->final_callback([options] { chat(*options); });
}
