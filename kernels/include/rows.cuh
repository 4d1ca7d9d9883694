// How kernels that move rows of channels share out the work: the threads of one y take a stretch of one row.
#pragma once

#include "common.cuh"

#define ROW_TILE_COLUMNS 1024

// Columns [first, end) of a row, the work of the threads of one threadIdx.y. Threads along x run along the columns, so
// accesses are coalesced; the launch makes blockDim.x a divisor of the row's vectors where it can (32 for wide rows, so that
// what depends on the row alone is the same in all lanes; less for narrow ones, so that no lane is idle).
struct RowTile {
    int row;
    int first;
    int end;
};

// The calling thread's tile, in a launch of ceil(rows / blockDim.y) * ceil(columns / 1024) blocks. False where there is none.
__device__ __forceinline__ bool row_tile(int rows, int columns, RowTile& tile) {
    const int column_tiles = (columns + ROW_TILE_COLUMNS - 1) / ROW_TILE_COLUMNS;
    const int row_block = blockIdx.x / column_tiles;
    tile.row = row_block * blockDim.y + threadIdx.y;
    tile.first = (blockIdx.x - row_block * column_tiles) * ROW_TILE_COLUMNS;
    tile.end = min(tile.first + ROW_TILE_COLUMNS, columns);
    return tile.row < rows;
}

// Calls each4(column) for every fourth column of the tile where `vectors` holds (then first and end must be multiples of
// four), each1(column) for every column where it does not.
template <typename F4, typename F1>
__device__ __forceinline__ void for_columns(const RowTile& tile, bool vectors, F4 each4, F1 each1) {
    if (vectors) {
        for (int column = tile.first + threadIdx.x * 4; column < tile.end; column += blockDim.x * 4) {
            each4(column);
        }
    } else {
        for (int column = tile.first + threadIdx.x; column < tile.end; column += blockDim.x) {
            each1(column);
        }
    }
}
