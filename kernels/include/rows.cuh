// How kernels that move rows of channels share out the work: a warp takes a stretch of one row.
#pragma once

#include "common.cuh"

#define ROW_TILE_WARPS 8
#define ROW_TILE_COLUMNS 1024

// Columns [first, end) of a row, the work of one warp. What depends on the row alone (index arithmetic with divisions) is the
// same in all lanes; lanes run along the columns, so accesses are coalesced.
struct RowTile {
    int row;
    int first;
    int end;
};

// The calling warp's tile in a launch of ceil(rows / 8) * ceil(columns / 1024) blocks of (32, 8) threads. False where there
// is none: whole warps leave, so warps stay converged.
__device__ __forceinline__ bool row_tile(int rows, int columns, RowTile& tile) {
    const int column_tiles = (columns + ROW_TILE_COLUMNS - 1) / ROW_TILE_COLUMNS;
    const int row_block = blockIdx.x / column_tiles;
    tile.row = row_block * ROW_TILE_WARPS + threadIdx.y;
    tile.first = (blockIdx.x - row_block * column_tiles) * ROW_TILE_COLUMNS;
    tile.end = min(tile.first + ROW_TILE_COLUMNS, columns);
    return tile.row < rows;
}

// Calls each4(column) for every fourth column of the tile where `vectors` holds (then first and end must be multiples of
// four), each1(column) for every column where it does not.
template <typename F4, typename F1>
__device__ __forceinline__ void for_columns(const RowTile& tile, bool vectors, F4 each4, F1 each1) {
    if (vectors) {
        for (int column = tile.first + threadIdx.x * 4; column < tile.end; column += WARP_SIZE * 4) {
            each4(column);
        }
    } else {
        for (int column = tile.first + threadIdx.x; column < tile.end; column += WARP_SIZE) {
            each1(column);
        }
    }
}
