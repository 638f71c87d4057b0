// Each kind of finding: a kernel that has it, what is said, and the same kernel put right.
#include "Emulated.h"

namespace kerf::emulator {
namespace {

/// Beginning of bodies: %r1 thread, %r2 block, %d1 and %d2 the parameters, %r10 where the thread's word of `tile` is.
const char *const kBegin =
    "ld.param.u64 %d1, [p0];\nld.param.u64 %d2, [p1];\nmov.u32 %r1, %tid.x;\nmov.u32 %r2, %ctaid.x;\n"
    "mov.u32 %r9, tile;\nshl.b32 %r10, %r1, 2;\nadd.s32 %r10, %r10, %r9;\n";
const char *const kTile = ".shared .align 16 .b8 tile[1024];\n";

class Finding : public Emulated {
protected:
  /// Runs `body` over 1024 words that are written, and 1024 that are not.
  CUresult runBody(const std::string &body, unsigned grid = 1, unsigned block = 64) {
    begin();
    CUfunction function = loadBody(kBegin + body + "\nret;", 2, kTile);
    CUdeviceptr written = upload(std::vector<uint32_t>(1024, 1)), unwritten = allocate(4096);
    return launch(function, grid, block, 0, written, unwritten);
  }
  void expectClean(const std::string &body, unsigned grid = 1, unsigned block = 64) {
    EXPECT_EQ(runBody(body, grid, block), CUDA_SUCCESS) << body;
    EXPECT_EQ(cu.findings(), 0u) << cu.report();
  }
  void expectFound(const std::string &body, const std::string &text, CUresult error = CUDA_ERROR_LAUNCH_FAILED,
                   unsigned grid = 1, unsigned block = 64) {
    EXPECT_EQ(runBody(body, grid, block), error) << body << cu.report();
    EXPECT_GE(cu.findings(), 1u);
    EXPECT_NE(std::string(cu.report()).find(text), std::string::npos) << text << "\ngot: " << cu.report();
  }
};

// Stores the thread's number in its word of the tile, and reads that of the thread beside it.
const char *const kStore = "st.shared.u32 [%r10], %r1;\n";
const char *const kReadNext = "add.s32 %r3, %r1, 1;\nand.b32 %r3, %r3, 63;\nshl.b32 %r3, %r3, 2;\nadd.s32 %r3, %r3, "
                              "%r9;\nld.shared.u32 %r4, [%r3];\n";

TEST_F(Finding, ReadsBeforeTheBarrier) {
  expectFound(std::string(kStore) + kReadNext, "races with the write of thread (");
  EXPECT_NE(std::string(cu.report()).find("kernel test, line"), std::string::npos) << cu.report();
  EXPECT_NE(std::string(cu.report()).find(": no barrier is between them"), std::string::npos);
  expectClean(kStore + std::string("bar.sync 0;\n") + kReadNext);
}

TEST_F(Finding, WritesBeforeAllHaveRead) {
  std::string start = kStore + std::string("bar.sync 0;\n") + kReadNext;
  expectFound(start + kStore, "races with the read of thread (");
  expectClean(start + "bar.sync 0;\n" + kStore);
}

TEST_F(Finding, LockStepOrdersNothing) {
  expectFound(std::string(kStore) + kReadNext, "races with the write", CUDA_ERROR_LAUNCH_FAILED, 1, 32);
  // Lane 32 is not there: the last lane reads a word of nobody, which it does not use.
  expectClean(std::string(kStore) + "bar.warp.sync -1;\n" + kReadNext, 1, 32);
}

TEST_F(Finding, TwoWriteOneWord) {
  expectFound("st.shared.u32 [tile], %r1;\n",
              "write of 4 bytes at 0x0 of shared memory races with the write of thread");
  expectClean("setp.eq.u32 %p1, %r1, 5;\n@%p1 st.shared.u32 [tile], %r1;\n");
  // Halves of one word.
  expectClean("shl.b32 %r3, %r1, 1;\nadd.s32 %r3, %r3, %r9;\ncvt.u16.u32 %h1, %r1;\nst.shared.b16 [%r3], %h1;\n");
}

TEST_F(Finding, NamedBarriersOrderThoseThatCome) {
  // Warp 0 hands its words to warp 1 at barrier 1; warp 2 looks without having come.
  std::string hand =
      "shr.u32 %r5, %r1, 5;\nsetp.eq.u32 %p1, %r5, 0;\nsetp.eq.u32 %p2, %r5, 1;\nsetp.eq.u32 %p3, %r5, 2;\n"
      "@%p1 bra FIRST;\n@%p2 bra SECOND;\nbra.uni THIRD;\nFIRST:\nst.shared.u32 [%r10], %r1;\n"
      "bar.arrive 1, 64;\nbra.uni END;\nSECOND:\nbar.sync 1, 64;\nsub.s32 %r6, %r10, 128;\n"
      "ld.shared.u32 %r7, [%r6];\nbra.uni END;\nTHIRD:\n";
  expectClean(hand + "END:\n", 1, 96);
  expectFound(hand + "sub.s32 %r6, %r10, 256;\nld.shared.u32 %r7, [%r6];\nEND:\n", "races with the",
              CUDA_ERROR_LAUNCH_FAILED, 1, 96);
}

TEST_F(Finding, AtomicsDoNotRaceAmongThemselves) {
  std::string zero = "setp.eq.u32 %p1, %r1, 0;\n@%p1 st.shared.u32 [tile], 0;\n";
  std::string add = "red.shared.add.u32 [tile], 1;\n";
  expectClean(zero + "bar.sync 0;\n" + add);
  expectFound(zero + add, "no barrier is between them");
}

TEST_F(Finding, BlocksInEachOthersWay) {
  // Every block writes the first words.
  std::string own = "mad.lo.s32 %r3, %r2, 64, %r1;\n", same = "mov.u32 %r3, %r1;\n";
  std::string store = "mad.wide.u32 %d3, %r3, 4, %d1;\nst.global.u32 [%d3], %r2;\n";
  expectClean(own + store, 4);
  expectFound(same + store, "of global memory (byte ", CUDA_ERROR_LAUNCH_FAILED, 4);
  EXPECT_NE(std::string(cu.report()).find(": no release and acquire order them"), std::string::npos) << cu.report();
  // Blocks write their own words and read those of the next.
  std::string load =
      "add.s32 %r4, %r3, 64;\nand.b32 %r4, %r4, 255;\nmad.wide.u32 %d4, %r4, 4, %d1;\nld.global.u32 %r5, [%d4];\n";
  expectFound(own + store + load, "races with the", CUDA_ERROR_LAUNCH_FAILED, 4);
  expectFound(own + load + store, "races with the", CUDA_ERROR_LAUNCH_FAILED, 4);
  // Reads and writes of one page without a conflict.
  expectClean(own + "mad.wide.u32 %d3, %r3, 4, %d1;\nld.global.u32 %r5, [%d3];\nadd.s32 %r5, %r5, 1;\nst.global.u32 "
                    "[%d3], %r5;\n",
              4);
}

TEST_F(Finding, GlobalMemoryWithinABlock) {
  std::string store = "mad.wide.u32 %d3, %r1, 4, %d1;\nst.global.u32 [%d3], %r1;\n";
  std::string load = "xor.b32 %r3, %r1, 33;\nmad.wide.u32 %d3, %r3, 4, %d1;\nld.global.u32 %r4, [%d3];\n";
  expectFound(store + load, ": no barrier is between them");
  expectClean(store + "bar.sync 0;\n" + load);
}

// Each block leaves a number; the one that comes last adds them up.
std::string lastBlock(const std::string &fence, const std::string &atomic) {
  return "setp.ne.u32 %p1, %r1, 0;\n@%p1 bra END;\nmad.wide.u32 %d3, %r2, 4, %d1;\nst.global.u32 [%d3], %r2;\n" +
         fence + atomic + " %r3, [%d1+1024], 1;\n" + fence +
         "setp.ne.u32 %p2, %r3, 4;\n@%p2 bra END;\nld.global.u32 %r4, [%d1];\nld.global.u32 %r5, [%d1+12];\nEND:\n";
}
TEST_F(Finding, ReleaseAndAcquireBetweenBlocks) {
  expectClean(lastBlock("", "atom.acq_rel.gpu.global.add.u32"), 4);
  expectClean(lastBlock("fence.acq_rel.gpu;\n", "atom.relaxed.gpu.global.add.u32"), 4);
  expectClean(lastBlock("membar.gl;\n", "atom.global.add.u32"), 4);
  for (const char *weak : {"atom.relaxed.gpu.global.add.u32", "atom.acq_rel.cta.global.add.u32",
                           "atom.release.gpu.global.add.u32", "atom.acquire.gpu.global.add.u32"})
    expectFound(lastBlock("", weak), "no release and acquire order them", CUDA_ERROR_LAUNCH_FAILED, 4);
  expectFound(lastBlock("membar.cta;\n", "atom.global.add.u32"), "no release and acquire", CUDA_ERROR_LAUNCH_FAILED, 4);
}

TEST_F(Finding, BlocksThatWaitForEachOther) {
  // All blocks meet: each adds one, and waits until all have.
  std::string meet = "setp.ne.u32 %p1, %r1, 0;\n@%p1 bra END;\nmov.u32 %r3, %nctaid.x;\nadd.s32 %r3, %r3, 1;\n"
                     "red.release.gpu.global.add.u32 [%d1], 1;\nWAIT:\nld.acquire.gpu.global.u32 %r4, [%d1];\n"
                     "setp.lt.u32 %p2, %r4, %r3;\n@%p2 bra WAIT;\nEND:\n";
  expectClean(meet, 16);
}

TEST_F(Finding, BarriersThatDiverge) {
  expectFound("setp.lt.u32 %p1, %r1, 7;\n@%p1 bra SKIP;\nbar.sync 0;\nSKIP:\n",
              "a barrier that only some lanes of the warp came to");
  // Those that have ended are not missed.
  expectClean("setp.lt.u32 %p1, %r1, 7;\n@%p1 ret;\nbar.sync 0;\n");
}

TEST_F(Finding, Deadlock) {
  expectFound("setp.lt.u32 %p1, %r1, 32;\n@%p1 bra FIRST;\nbar.sync 2;\nFIRST:\n", "no warp can go on",
              CUDA_ERROR_LAUNCH_TIMEOUT);
  std::string report = cu.report();
  EXPECT_NE(report.find("\n  warp 0 has ended"), std::string::npos) << report;
  EXPECT_NE(report.find("\n  warp 1 waits at barrier 2, line 20, where 32 of 64 threads have come"), std::string::npos)
      << report;
  expectFound(
      "setp.lt.u32 %p1, %r1, 32;\n@%p1 bra FIRST;\nbar.sync 1;\nbar.sync 2;\nbra.uni END;\nFIRST:\nbar.sync 2;\n"
      "bar.sync 1;\nEND:\n",
      "waits at barrier 1", CUDA_ERROR_LAUNCH_TIMEOUT);
}

TEST_F(Finding, UndefinedRegisters) {
  expectFound("setp.eq.u32 %p1, %r30, 0;\n@%p1 bra END;\nEND:\n",
              "an undefined value decides whether an instruction executes");
  expectFound("add.s32 %r3, %r30, 1;\nst.global.u32 [%d1], %r3;\n",
              "an undefined value decides what is written to global memory");
  expectFound("cvt.u64.u32 %d3, %r30;\nadd.s64 %d3, %d3, %d1;\nld.global.u32 %r3, [%d3];\n",
              "an undefined value decides an address");
  // On one way only.
  std::string some =
      "setp.lt.u32 %p1, %r1, 60;\n@%p1 bra SKIP;\nmov.u32 %r3, 5;\nSKIP:\nmad.wide.u32 %d3, %r1, 4, %d1;\n";
  expectFound(some + "st.global.u32 [%d3], %r3;\n",
              "0, 0) of block (0, 0, 0): an undefined value decides what is written");
  expectClean(some + "@!%p1 st.global.u32 [%d3], %r3;\n");
  // What decides nothing may be undefined.
  expectClean(
      "add.s32 %r3, %r30, 1;\nsetp.eq.u32 %p1, %r3, 0;\nselp.b32 %r4, %r3, %r1, %p1;\nst.shared.u32 [%r10], %r4;\n");
  expectClean("setp.eq.u32 %p1, %r30, 0;\nsetp.gt.u32 %p2, %r1, 1000;\nand.pred %p3, %p1, %p2;\n@%p3 trap;\n");
}

TEST_F(Finding, UndefinedMemory) {
  std::string use = "setp.eq.u32 %p1, %r4, 77;\n@%p1 trap;\n";
  expectFound("ld.shared.u32 %r4, [%r10];\n" + use, "an undefined value decides whether");
  expectFound("ld.global.u32 %r4, [%d2];\n" + use, "an undefined value decides whether");
  expectClean("ld.global.u32 %r4, [%d1];\n" + use);
  // Of a vector only the part that nobody wrote.
  std::string half = "mad.wide.u32 %d3, %r1, 16, %d2;\nst.global.v2.u32 [%d3], {%r1, %r1};\nld.global.v4.u32 {%r4, "
                     "%r5, %r6, %r7}, [%d3];\n";
  expectClean(half + use);
  expectFound(half + "mov.u32 %r4, %r6;\n" + use, "an undefined value");
  // An undefined value stays one in shared memory.
  expectFound("st.shared.u32 [%r10], %r30;\nld.shared.u32 %r4, [%r10];\n" + use, "an undefined value");
  expectClean("mov.u32 %r30, 3;\nst.shared.u32 [%r10], %r30;\nld.shared.u32 %r4, [%r10];\n" + use);
}

TEST_F(Finding, OutOfBounds) {
  expectFound("st.global.u32 [%d1+4096], %r1;\n", "byte 4096 of an allocation of 4096 bytes",
              CUDA_ERROR_ILLEGAL_ADDRESS);
  expectFound("ld.global.u32 %r3, [%d1-4];\n", "read of 4 bytes", CUDA_ERROR_ILLEGAL_ADDRESS);
  expectFound("st.shared.u32 [%r9+1024], %r1;\n", "of shared memory, which has 1024 bytes", CUDA_ERROR_ILLEGAL_ADDRESS);
  expectFound("ld.param.u64 %d3, [p1+8];\n", "a read past the kernel's parameters", CUDA_ERROR_ILLEGAL_ADDRESS);
  expectClean("setp.eq.u32 %p1, %r1, 0;\n@%p1 st.global.u32 [%d1+4092], %r1;\n");
}

TEST_F(Finding, Misaligned) {
  expectFound("ld.global.v4.u32 {%r3, %r4, %r5, %r6}, [%d1+8];\n", "misaligned read of 16 bytes of global memory",
              CUDA_ERROR_MISALIGNED_ADDRESS);
  expectFound("st.shared.u32 [%r9+2], %r1;\n", "misaligned write of 4 bytes of shared memory",
              CUDA_ERROR_MISALIGNED_ADDRESS);
}

// 64 threads copy 16 bytes each; then each reads the 16 bytes of another.
std::string copies(const std::string &between, bool uses = true) {
  return "shl.b32 %r3, %r1, 4;\nadd.s32 %r4, %r9, %r3;\ncvt.u64.u32 %d3, %r3;\nadd.s64 %d3, %d3, %d1;\n"
         "cp.async.cg.shared.global [%r4], [%d3], 16;\n" +
         between +
         "xor.b32 %r5, %r3, 528;\nadd.s32 %r5, %r5, %r9;\nld.shared.v4.u32 {%r11, %r12, %r13, %r14}, [%r5];\n" +
         (uses ? "setp.ne.u32 %p1, %r13, 1;\n@%p1 trap;\n" : "");
}
TEST_F(Finding, AsynchronousCopies) {
  const std::string commit = "cp.async.commit_group;\n", barrier = "bar.sync 0;\n";
  expectClean(copies(commit + "cp.async.wait_group 0;\n" + barrier));
  expectClean(copies("cp.async.wait_all;\n" + barrier));
  // Not waited for; waited for before it was committed; more groups left than there may be; no barrier.
  for (const std::string &between :
       {barrier, commit + barrier, "cp.async.wait_group 0;\n" + barrier, commit + "cp.async.wait_group 1;\n" + barrier})
    for (uint64_t seed = 0; seed < 4; ++seed) {
      runBody(copies(between));
      EXPECT_NE(std::string(cu.report()).find("is on its way there: it was not waited for"), std::string::npos)
          << between;
    }
  runBody(copies(commit + "cp.async.wait_group 0;\n", false));
  EXPECT_NE(std::string(cu.report()).find("no barrier is between them"), std::string::npos) << cu.report();
  // The buffer is used again while some still read it.
  std::string again = copies(commit + "cp.async.wait_group 0;\n" + barrier);
  expectFound(again + "cp.async.cg.shared.global [%r4], [%d3], 16;\n", "races with the read of thread");
  expectClean(again + barrier + "cp.async.cg.shared.global [%r4], [%d3], 16;\n");
}

TEST_F(Finding, CopiesFillWithZeros) {
  expectClean(
      "shl.b32 %r3, %r1, 2;\nadd.s32 %r4, %r9, %r3;\ncvt.u64.u32 %d3, %r3;\nadd.s64 %d3, %d3, %d1;\n"
      "and.b32 %r6, %r1, 1;\nshl.b32 %r6, %r6, 2;\ncp.async.ca.shared.global [%r4], [%d3], 4, %r6;\n"
      "cp.async.wait_all;\nld.shared.u32 %r7, [%r4];\nand.b32 %r8, %r1, 1;\nsetp.ne.u32 %p1, %r7, %r8;\n@%p1 trap;\n");
}

TEST_F(Finding, LanesThatAreNotThere) {
  expectFound("setp.lt.u32 %p1, %r1, 7;\n@%p1 bra SKIP;\nshfl.sync.bfly.b32 %r3, %r1, 1, 31, -1;\nSKIP:\n",
              "the mask of lanes names lane 0, which is elsewhere");
  expectFound(
      "setp.lt.u32 %p1, %r1, 7;\n@%p1 bra SKIP;\nldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r3}, [%r9];\nSKIP:\n",
      "ldmatrix needs all 32 lanes");
}

TEST_F(Finding, Trap) { expectFound("trap;\n", "trap"); }

TEST_F(Finding, SameReportWithAnyNumberOfThreads) {
  const std::string racy =
      "mad.wide.u32 %d3, %r1, 4, %d1;\nst.global.u32 [%d3], %r2;\n" + std::string(kStore) + kReadNext;
  std::vector<std::string> reports;
  for (uint64_t seed : {1, 2, 3}) {
    std::string one;
    for (unsigned threads : {1, 2, 5}) {
      begin();
      cu.setSeed(seed);
      cu.setThreads(threads);
      CUfunction function = loadBody(kBegin + racy + "ret;", 2, kTile);
      CUdeviceptr written = upload(std::vector<uint32_t>(1024, 1)), unwritten = allocate(4096);
      EXPECT_EQ(launch(function, 40, 64, 0, written, unwritten), CUDA_ERROR_LAUNCH_FAILED);
      // Addresses differ from one reservation to the next.
      std::string report = cu.report();
      for (size_t at; (at = report.find("0x7")) != std::string::npos;)
        report.erase(at, report.find(' ', at) - at);
      if (threads == 1)
        one = report;
      EXPECT_EQ(report, one);
    }
    reports.push_back(one);
  }
  EXPECT_NE(reports[0], reports[1]);
}

} // namespace
} // namespace kerf::emulator
