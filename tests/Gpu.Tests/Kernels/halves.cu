// One parameter of every kind that a launch packs, in an order that needs padding.
extern "C" __global__ void halve(int a, double b, float c, long long d, double* y)
{
    y[0] = a / 2.0;
    y[1] = b / 2;
    y[2] = c / 2;
    y[3] = d / 2.0;
}
