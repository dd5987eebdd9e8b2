import { createBrowserRouter } from "react-router";
import { Shell } from "./Shell";

/** A page is loaded when it is first looked at. */
const page = (load: () => Promise<{ default: React.ComponentType }>) => async () => ({
  Component: (await load()).default,
});

export const router = createBrowserRouter([
  { path: "/sign-in", HydrateFallback: () => null, lazy: page(() => import("../features/sign-in/SignIn")) },
  {
    path: "/",
    HydrateFallback: () => null,
    Component: Shell,
    children: [
      { index: true, lazy: page(() => import("../features/home/Home")) },
      { path: "experiments", lazy: page(() => import("../features/experiments/Experiments")) },
      { path: "experiments/:project/:experiment", lazy: page(() => import("../features/experiments/Runs")) },
      { path: "runs/:project/compare", lazy: page(() => import("../features/experiments/Compare")) },
      { path: "runs/:project/:run", lazy: page(() => import("../features/experiments/RunPage")) },
      { path: "models", lazy: page(() => import("../features/models/Models")) },
      { path: "models/:project/:model/:version", lazy: page(() => import("../features/models/ModelPage")) },
      { path: "deployments", lazy: page(() => import("../features/deployments/Deployments")) },
      { path: "deployments/:name", lazy: page(() => import("../features/deployments/DeploymentPage")) },
      { path: "monitoring", lazy: page(() => import("../features/monitoring/Monitoring")) },
      { path: "administration", lazy: page(() => import("../features/administration/Administration")) },
      { path: "account", lazy: page(() => import("../features/account/Account")) },
      { path: "*", lazy: page(() => import("./Nowhere")) },
    ],
  },
]);
