import { Button } from "@mantine/core";
import { Link } from "react-router";
import { Empty } from "../parts/Bits";

export default function Nowhere() {
  return (
    <Empty
      title="There is no such page"
      action={
        <Button component={Link} to="/">
          Home
        </Button>
      }
    >
      What it showed may have been deleted, or the address is not whole.
    </Empty>
  );
}
