//===- ChatSubsetTest.cpp - what is outside the subset, and hostile templates ===//
#include "runtime/chat/Render.h"

#include <gtest/gtest.h>

#include <random>

using namespace kerf::rt::chat;

namespace {

std::string rendered(const std::string &source, std::optional<int64_t> time = {}) {
  const Message messages[] = {{"user", "hello"}};
  Conversation conversation;
  conversation.messages = messages;
  conversation.time = time;
  return render(source, conversation).bytes;
}

void expectError(const std::string &source, const std::string &message,
                 ChatError::Cause cause = ChatError::Cause::Template) {
  SCOPED_TRACE(source.substr(0, 100));
  try {
    std::string text = rendered(source);
    ADD_FAILURE() << "rendered '" << text.substr(0, 100) << "', where an error should say: " << message;
  } catch (const ChatError &error) {
    EXPECT_EQ(error.cause(), cause);
    EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
  }
}

TEST(ChatSubset, names_what_is_outside_with_its_line) {
  const std::pair<const char *, const char *> cases[] = {
      {"a\nb{% macro m() %}{% endmacro %}", "chat template, line 2: tag 'macro' is not among those that Kerf renders"},
      {"{% include 'x' %}", "tag 'include' is not among"},
      {"{% raw %}{% endraw %}", "tag 'raw' is not among"},
      {"{% call f() %}{% endcall %}", "tag 'call' is not among"},
      {"\n\n{{ x | xmlattr }}", "line 3: filter 'xmlattr' is not among"},
      {"{{ x is divisibleby(3) }}", "test 'divisibleby' is not among"},
      {"{{ x is 3 }}", "test 3 is not among"},
      {"{{ x.format(1) }}", "method 'format' is not among"},
      {"{{ lipsum() }}", "function 'lipsum' is not among"},
      {"{{ x()() }}", "function 'x' is not among"},
      {"{{ range(1)(2) }}", "what is called must be a function"},
      {"{{ 1 / 2 }}", "operator '/' is not among"},
      {"{{ 2 ** 3 }}", "operator '**' is not among"},
      {"{{ 1.5 }}", "a number must be a decimal integer, got '1.'"},
      {"{{ 0x10 }}", "a number must be a decimal integer"},
      {"{{ 99999999999999999999 }}", "an integer must fit 64 bits"},
      {"{% for x in y recursive %}{% endfor %}", "recursive loops"},
      {"{{ 1 < 2 < 3 }}", "comparisons must not be chained"},
      {"{{ '\\q' }}", "no escape '\\q'"},
      {"{{ '\\ud800' }}", "escape must be a character"},
      {"{{ '\\u12", "escape must be a character"},
      {"{{ a ; b }}", "no ';' outside strings"},
      {"{{ é }}", "no 'é' outside strings"},
      {"{{ 'abc", "a string must end with its quote"},
      {"{{ a", "a tag must end with '}}'"},
      {"{% if a", "a tag must end with '%}'"},
      {"{# a", "a comment must end with '#}'"},
      {"{% if a %}", "a block 'endif' must stand before the template's end"},
      {"{% if a %}{% else %}", "a block 'endif' must stand before the template's end"},
      {"{% for a in b %}", "a block 'endfor' must stand before the template's end"},
      {"{% set a %}", "a block 'endset' must stand before the template's end"},
      {"{% endif %}", "'endif' must end a block that has begun"},
      {"{% if a %}{% endfor %}", "'endfor' must end a block that has begun"},
      {"{% break %}", "'break' must stand in a loop"},
      {"{% for a b %}", "'in' must stand here, got 'b'"},
      {"{% for 1 in b %}", "a name must stand here, got 1"},
      {"{% set a, b %}", "'=' must stand here, got the tag's end"},
      {"{% if %}", "an expression must stand here, got the tag's end"},
      {"{{ a b }}", "'}}' must stand here, got 'b'"},
      {"{{ (a }}", "')' must stand here"},
      {"{{ a[1 }}", "']' must stand here"},
      {"{{ not }}", "an expression must stand here"},
      {"{{ f(a=1, 2) }}", "function 'f' is not among"},
      {"{{ namespace(a=1, 2) }}", "an argument without a name must come before"},
  };
  for (auto [source, message] : cases)
    expectError(source, message);
}

TEST(ChatSubset, says_what_cannot_be_computed) {
  const std::pair<const char *, const char *> cases[] = {
      {"\n{{ nothing.x }}", "line 2: what has the attribute 'x' must be defined"},
      {"{{ nothing['x'] }}", "what has an item must be defined"},
      {"{{ 'a' + 1 }}", "'+' must stand between integers, strings or lists, got a string and an integer"},
      {"{{ 'a' * 2 }}", "'*' must stand between integers, got a string and an integer"},
      {"{{ 'a' < 1 }}", "'<' must stand between integers or strings"},
      {"{{ 1 // 0 }}", "the result of '//' must fit 64 bits"},
      {"{{ 1 % 0 }}", "the result of '%' must fit 64 bits"},
      {"{{ 9223372036854775807 + 1 }}", "the result of '+' must fit 64 bits"},
      {"{{ -9223372036854775807 - 2 }}", "the result of '-' must fit 64 bits"},
      {"{{ 9223372036854775807 * 2 }}", "the result of '*' must fit 64 bits"},
      {"{{ -'a' }}", "what has a sign must be an integer, got a string"},
      {"{{ [1] }}", "what is printed must be text, got a list"},
      {"{{ {} }}", "what is printed must be text, got a dictionary"},
      {"{{ {1: 2} }}", "a key must be a string of the template's own, got an integer"},
      {"{{ {messages[0].role: 1}.keys() | first }}", "a key must be a string of the template's own, got one of the "},
      {"{{ 1[0:1] }}", "what is cut must be a list or a string, got an integer"},
      {"{{ 'a'['b':] }}", "a bound must be an integer, got a string"},
      {"{{ 'a'[::0] }}", "a slice's step must be"},
      {"{% for x in 3 %}{% endfor %}", "a loop must be given a list, got an integer"},
      {"{% for a, b in [1] %}{% endfor %}", "what is unpacked must be a list of 2, got an integer"},
      {"{% set a, b = [1] %}", "what is unpacked must be a list of 2, got a list"},
      {"{% set a.b = 1 %}", "'a' must be a namespace to have an attribute set, got an undefined value"},
      {"{{ namespace(1) }}", "'namespace' must have arguments with names only"},
      {"{{ range('a') }}", "'range' must have 1 to 3 integers"},
      {"{{ range(0, 1, 0) }}", "the step of 'range' must not be 0"},
      {"{{ range(1000000) | length }}", "'range' must have at most 100000 numbers"},
      {"{{ 1 in 2 }}", "what has items must be a list, a dictionary or a string"},
      {"{{ 'é' | upper }}", "filter 'upper' must be given ASCII"},
      {"{{ 'a' | trim(1) }}", "filter 'trim' must be given a string, got an integer"},
      {"{{ 'a' | length(1) }}", "filter 'length' must have 0 to 0 arguments, got 1"},
      {"{{ 'a' | default(x=1) }}", "filter 'default' must have no argument 'x'"},
      {"{{ 1 | items }}", "filter 'items' must be given a dictionary"},
      {"{{ namespace() | tojson }}", "must be given what JSON can say, got a namespace"},
      {"{{ {} | tojson(indent=99) }}", "an indent of at most 16"},
      {"{{ 'é' | tojson(ensure_ascii=true) }}", "must not ask for ASCII"},
      {"{{ 'a'.split('') }}", "method 'split' must be given a separator that is not empty"},
      {"{{ 'a'.replace('', 'b') }}", "must be given text to replace that is not empty"},
      {"{{ 'a'.keys() }}", "a string has no such method"},
      {"{{ {}.strip() }}", "a dictionary has no such method"},
      {"{{ 3.strip() }}", "a number must be a decimal integer"},
      {"{{ 'a' is odd }}", "test 'odd' must be given an integer"},
      {"{{ [1] | selectattr('a', 'wrong') | list }}", "a test that Kerf renders, got 'wrong'"},
      {"{{ [1] | map('wrong') | list }}", "a filter that Kerf renders, got 'wrong'"},
      {"{{ strftime_now() }}", "'strftime_now' must have one string"},
      {"{% set n = namespace() %}{% set n.n = n %}", "a namespace must hold no namespace"},
      {"{% set n = namespace() %}{% set n.n = [{'a': n}] %}", "a namespace must hold no namespace, nor what holds one"},
  };
  for (auto [source, message] : cases)
    expectError(source, message);
  expectError("{{ raise_exception('no ' ~ 'way') }}", "line 1: it refuses the conversation: no way",
              ChatError::Cause::Conversation);
  expectError("{{ strftime_now('%Y') }}", "the conversation must state its time", ChatError::Cause::Conversation);
  EXPECT_EQ(rendered("{{ strftime_now('%d %b %Y') }}", -1), "31 Dec 1969");
  EXPECT_THROW(rendered("{{ strftime_now('%c') }}", 1), ChatError);
  EXPECT_THROW(rendered("{{ strftime_now('%Y') }}", INT64_MAX), ChatError);
}

TEST(ChatSubset, hostile_templates_end) {
  const std::string deep(100'000, '('), brackets(100'000, '['), minus = "{{ " + std::string(100'000, '-') + "1 }}";
  expectError("{{ " + deep + " }}", "nesting must be at most 64 deep");
  expectError("{{ " + brackets + " }}", "nesting must be at most 64 deep");
  std::string nots, ifs, choices = "{{ 1", keys, attributesSet, chain = "{{ 1", filters = "{{ 'a'", attributes = "{{ a",
                         conditions = "{{ 1";
  for (int i = 0; i < 50'000; ++i) {
    nots += "not ";
    ifs += "{% if 1 %}";
    chain += " + 1";
    filters += "|trim";
    attributes += ".a";
    conditions += " if 1 else 1";
    choices += " if 1";
    keys += "'" + std::to_string(i) + "': 1,";
    attributesSet += i > 1000 ? "" : "{% set n.a" + std::to_string(i) + " = 1 %}";
  }
  expectError(minus, "nesting must be at most 64 deep");
  expectError("{{ " + nots + "1 }}", "nesting must be at most 64 deep");
  expectError(ifs, "nesting must be at most 64 deep");
  expectError(conditions + " }}", "nesting must be at most 64 deep");
  expectError(chain + " }}", "a tag must have at most 256 operators");
  expectError(filters + " }}", "a tag must have at most 256 operators");
  expectError(attributes + " }}", "a tag must have at most 256 operators");
  expectError(choices + " }}", "a tag must have at most 256 operators");
  expectError("{{ {" + keys + "} }}", "a dictionary must have at most 256 keys");
  expectError("{% set n = namespace() %}" + attributesSet, "a namespace must have at most 256 attributes");
  const std::string many = "{% set r = range(2000) %}{% for a in r %}{% for b in r %}";
  expectError(many + "{% endfor %}{% endfor %}", "rendering must take at most 1000000 steps");
  expectError("{% set n = namespace(t='xx') %}{% for a in range(99) %}{% set n.t = n.t + n.t %}{% endfor %}",
              "rendering must make and read at most 64 MiB");
  expectError("{% set n = namespace(t=[1]) %}{% for a in range(99) %}{% set n.t = n.t + n.t %}{% endfor %}",
              "rendering must make and read at most 64 MiB");
  expectError("{% set n = namespace(t=[]) %}{% for a in range(99) %}{% set n.t = [n.t] %}{% endfor %}", "deep");
  const std::string equals =
      "{% set n = namespace(t='x', u=[]) %}{% for a in range(20) %}{% set n.t = n.t ~ n.t %}{% endfor %}"
      "{% for a in range(99) %}{% set n.u = n.u + [n.t] %}{% endfor %}";
  expectError(equals + "{% for a in range(99) %}{{ n.u == n.u + [] }}{% endfor %}",
              "must make and read at most 64 MiB");
  expectError(equals + "{% for a in range(99) %}{{ 'y' in n.t }}{% endfor %}", "must make and read at most 64 MiB");
  expectError("{% set r = range(99999) %}{% for a in r %}{% for b in r %}{% break %}{% endfor %}{% endfor %}",
              "must make and read at most 64 MiB");
  expectError("{% set n = namespace(t='x') %}{% for a in range(18) %}{% set n.t = n.t + n.t %}{% endfor %}"
              "{{ n.t | list | length }}",
              "at most 100000 items of a string");
  // What a call makes or compares beyond its arguments is paid for while it does so: none of these takes a second.
  const std::string million = "{% set n = namespace(t='a', u=[1]) %}{% for a in range(20) %}{% set n.t = n.t + n.t %}"
                              "{% endfor %}{% for a in range(14) %}{% set n.u = n.u + n.u %}{% endfor %}";
  for (const char *bomb : {"{{ n.t.replace('a', n.t) }}", "{{ n.u | map('string') | join(n.t) }}",
                           "{{ n.t.join(n.u) }}", "{{ range(99999) | select('in', range(99999)) | list }}",
                           "{% for a in range(3) %}{% set n.u = n.u + n.u %}{% endfor %}{% for a in range(30) %}{% set "
                           "n.u = [n.u] %}{% endfor %}{{ n.u | tojson(indent=16) }}",
                           "{% set n.t = [1] %}{% for a in range(22) %}{% set n.t = [n.t, n.t] %}{% endfor %}"
                           "{{ n.t | tojson }}",
                           "{% set s = n.t[:99999] %}{{ [s, s, s, s, s, s] | map('list') | list }}",
                           "{% for a in range(6) %}{{ n.t[:99999].split('a') | length }}{% endfor %}"})
    expectError(million + bomb, "must make and read at most 64 MiB");
  // Searches are linear: 2^19 places for 2^18 bytes that nearly are there, and 2^20 characters stripped of one of 2^20.
  EXPECT_EQ(rendered(million + "{{ (n.t[:262144] ~ 'b') in n.t[:524288] }}{{ (n.t ~ 'b').strip(n.t) }}"), "Falseb");
  expectError(std::string(2 << 20, 'x'), "at most 1048576 bytes of UTF-8");
  expectError("\xff", "bytes of UTF-8");
}

TEST(ChatSubset, damaged_templates_never_crash) {
  const std::string source =
      "{%- set ns = namespace(a=1, b='x') -%}{% for m in messages[::-1] if m.role is string %}"
      "{{ loop.index0 ~ m['content'].split('l', 1)[-1] | trim + 'é\\n' }}{% else %}{# c #}"
      "{% endfor %}{% set ns.a = ns.a + [1, {'k': (2, 3)}][0] %}{{ 'a' if not ns.b else [] | tojson }}";
  EXPECT_NE(rendered(source), "");
  std::mt19937 random(5);
  int failed = 0, good = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string damaged = source;
    for (int change = 0; change < 1 + round % 3; ++change) {
      size_t place = random() % damaged.size();
      switch (random() % 4) {
      case 0:
        damaged[place] = static_cast<char>(random() % 128);
        break;
      case 1:
        damaged.erase(place, 1 + random() % 8);
        break;
      case 2:
        damaged.insert(place, damaged.substr(random() % damaged.size(), random() % 12));
        break;
      default:
        damaged.resize(place + 1);
      }
      if (damaged.empty())
        break;
    }
    try {
      rendered(damaged);
      ++good;
    } catch (const ChatError &) {
      ++failed;
    }
  }
  EXPECT_GT(failed, 1000);
  EXPECT_GT(good, 100);
}

} // namespace
