// Threads a block, for __launch_bounds__: the compiler then gives a thread all the registers that such blocks leave it, a device
// refuses larger ones, and docs/kernels.md says how many of them a multiprocessor holds. The launches in src/Tensor have the same
// numbers, which a test holds to these. A bound whose name says MAX is for launches whose blocks are smaller where rows are.
//
// A second argument, blocks a multiprocessor, is there where the compiler by itself would spill registers to fit one more.
#pragma once

constexpr int MAP_BLOCK = 256;            // a thread an element, or a vector of them (Ops.Cover, Ops.CoverRows, RowFinish)
constexpr int WARP_ROWS_BLOCK = 256;      // (32, 8): a warp a row, or a tile of 32 columns (Ops.RowWarps)
constexpr int POSITION_BLOCK = 128;       // a thread a pair of positions, or a lane an offset and a warp a head
constexpr int MAX_ROW_BLOCK = 512;        // a block a row, a warp for every 512 of its elements (Ops.RowThreads)
constexpr int MAX_GEGLU_BLOCK = 31 * 32;  // 32 rows of fewer than 32 vectors; blocks of 256 for longer ones (Ops.GegluLaunch)
