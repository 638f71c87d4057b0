//===- IrText.h - IR files from outside -------------------------*- C++ -*-===//
//
// MLIR's parser and printer recurse as deep as a text is nested and end the program where that exhausts the stack (at
// some 200,000 brackets). Aliases nest without brackets, and a chain of them that each name the one before twice prints
// as 2^n copies. So a text is scanned, without recursion, before it is parsed.
//
//===----------------------------------------------------------------------===//
#ifndef KERF_DIALECTS_IMPORT_IRTEXT_H
#define KERF_DIALECTS_IMPORT_IRTEXT_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/MemoryBuffer.h"

#include <memory>

namespace kerf {

/// Checks that `text` can be parsed and printed within reasonable stack and time, whatever else is wrong with it:
/// brackets, aliases written out, are at most 256 deep; no alias stands for more than 65,536 brackets, nor all uses of
/// aliases for more than 2^24; between brackets, no more than 4096 characters stand without a comma, since MLIR
/// recurses for each operator of an affine expression. Strings and comments are understood. Bytecode is refused: it
/// cannot be scanned. `name` stands for the text in messages, which state line and column.
llvm::Error checkIrText(llvm::StringRef name, llvm::StringRef text);

/// Reads the file at `path` (`-`: standard input) and checks it.
llvm::Expected<std::unique_ptr<llvm::MemoryBuffer>> readIrFile(llvm::StringRef path);

} // namespace kerf

#endif // KERF_DIALECTS_IMPORT_IRTEXT_H
